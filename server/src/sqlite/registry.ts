import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { HubError } from '../errors.ts'
import type { Registry } from '../ports/registry.ts'
import { SqliteAuthorityStore } from './authority-store.ts'
import { migrate, openReader, openWriter } from './database.ts'
import { SqliteDeviceStore } from './device-store.ts'
import { SqliteEnrollmentStore } from './enrollment-store.ts'
import { SqliteRefusalStore } from './refusal-store.ts'
import { SqliteRegistrationStore } from './registration-store.ts'
import { SqliteRevocationStore } from './revocation-store.ts'
import { RegistryWriter } from './registry-writer.ts'
import { REGISTRY_MIGRATIONS } from './schema.ts'
import { SqliteConsumerGroupStore, SqlitePolicyStore, SqliteSettingStore } from './small-stores.ts'
import { SqliteSightingStore } from './sighting-store.ts'
import { TouchBuffer } from './touch-buffer.ts'

export interface RegistryOptions {
  /** Folder of the database file; it exists already. */
  readonly folder: string
  /** Refusals kept. */
  readonly refusalCapacity: number
  /** Told once when nothing can be written any more. */
  readonly onFailure: (error: HubError) => void
  /** Told of a failure that no caller waits for: bookkeeping or refusals that could not be written. */
  readonly onError: (error: unknown) => void
  /** Quota of the database file in pages of 4 KiB. */
  readonly maxPages?: number | undefined
}

/** Opens `registry.db`, brought to the newest schema. Writes go through one worker; reads run on this thread. */
export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const path = join(options.folder, 'registry.db')
  const schema = openWriter(path)
  try {
    migrate(schema, REGISTRY_MIGRATIONS, `The registry ${path}`)
  } finally {
    schema.close()
  }
  const reader = openReader(path)
  try {
    const writer = await RegistryWriter.start({ path, maxPages: options.maxPages }, options.onFailure)
    return registryOf(reader, writer, options)
  } catch (error) {
    reader.close()
    throw error
  }
}

function registryOf(reader: DatabaseSync, writer: RegistryWriter, options: RegistryOptions): Registry {
  const { refusalCapacity: capacity, onError } = options
  const touches = new TouchBuffer(writer, onError)
  const refusals = new SqliteRefusalStore(reader, writer, { capacity, onError })
  const sightings = new SqliteSightingStore(reader, writer, onError)
  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    await Promise.all([touches.close(), refusals.close(), sightings.close()])
    reader.close()
    await writer.close()
  }
  return {
    devices: new SqliteDeviceStore(reader, writer, touches),
    authorities: new SqliteAuthorityStore(reader, writer),
    enrollments: new SqliteEnrollmentStore(reader, writer),
    registrations: new SqliteRegistrationStore(reader, writer),
    policies: new SqlitePolicyStore(reader, writer),
    refusals,
    sightings,
    revocations: new SqliteRevocationStore(reader, writer),
    consumerGroups: new SqliteConsumerGroupStore(reader, writer),
    settings: new SqliteSettingStore(reader, writer),
    close: () => (closing ??= close()),
  }
}
