import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { HubError } from '../errors.ts'
import type { DataKey } from '../keys/envelope.ts'
import { sealerFor } from '../keys/sealer-for.ts'
import type { SealingKeys } from '../keys/sealer-for.ts'
import type { Registry } from '../ports/registry.ts'
import { SqliteAlarmStore } from './alarm-store.ts'
import { SqliteApprovalStore } from './approval-store.ts'
import { SqliteAuthorityStore } from './authority-store.ts'
import { SqliteCredentialUseStore } from './credential-use-store.ts'
import { migrate, openReader, openWriter, schemaVersion } from './database.ts'
import { SqliteDeviceStore } from './device-store.ts'
import { SqliteEnrollmentStore } from './enrollment-store.ts'
import { SqliteMessageCounterStore } from './message-counter-store.ts'
import { SqliteRefusalStore } from './refusal-store.ts'
import { SqliteRegistrationStore } from './registration-store.ts'
import { SqliteRevocationStore } from './revocation-store.ts'
import { copyBeforeMigration } from './migration-copy.ts'
import { RecentDevices } from './recent-devices.ts'
import type { RegistryReader } from './registry-reads.ts'
import { RegistryWriter } from './registry-writer.ts'
import { rowsToReseal } from './reseal.ts'
import type { ResealCursor, ResealStep } from './reseal.ts'
import { RowCipher } from './row-cipher.ts'
import { REGISTRY_MIGRATIONS, SEALED_SCHEMA } from './schema.ts'
import { clearFreePages } from './seal-registry.ts'
import { SqliteConsumerGroupStore, SqlitePolicyStore, SqliteSettingStore } from './small-stores.ts'
import { SqliteSightingStore } from './sighting-store.ts'
import { TouchBuffer } from './touch-buffer.ts'
import { SqliteWebhookStore } from './webhook-store.ts'

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
  readonly keys: SealingKeys
  /** Whether a registry that an earlier release wrote in the clear is sealed now; otherwise it is refused. */
  readonly admitsUnsealed: boolean
  /** Told when older data has been sealed, in a sentence. */
  readonly onProgress: (message: string) => void
}

/** What the key commands need of the registry. */
export interface RegistrySealing {
  /** From the next write on this key seals. */
  addKey(key: DataKey): Promise<void>
  /** Rows that hold something sealed. */
  count(): number
  /** Looks at some more rows and seals those anew that an older data key sealed. */
  reseal(cursor: ResealCursor | null): Promise<ResealStep>
}

/** Opens `registry.db`, brought to the newest schema. Writes go through one worker; reads run on this thread. */
export async function openRegistry(
  options: RegistryOptions,
): Promise<{ readonly registry: Registry; readonly sealing: RegistrySealing }> {
  const path = join(options.folder, 'registry.db')
  const { keys, maxPages } = options
  const rows = new RowCipher(sealerFor('registry', keys))
  prepare(path, rows, options)
  const reader = { database: openReader(path), rows }
  try {
    const recent = new RecentDevices()
    const { onFailure } = options
    const writer = await RegistryWriter.start({ path, maxPages, keys }, { watcher: recent, onFailure })
    return { registry: registryOf(reader, writer, { ...options, recent }), sealing: sealingOf(reader, writer) }
  } catch (error) {
    reader.database.close()
    throw error
  }
}

function prepare(path: string, rows: RowCipher, { admitsUnsealed, onProgress }: RegistryOptions): void {
  const database = openWriter(path)
  try {
    const found = schemaVersion(database)
    if (found > 0 && found < SEALED_SCHEMA && !admitsUnsealed) {
      throw new HubError(
        'internal',
        `The registry ${path} is in the clear, although everything in this data folder has been sealed before: ` +
          'somebody has put it there. Restore the folder from a backup.',
      )
    }
    database.exec('PRAGMA secure_delete = ON')
    // A copy of what is about to be sealed would leave everything in the clear.
    if (found >= SEALED_SCHEMA && found < REGISTRY_MIGRATIONS.length) copyBeforeMigration(database, path)
    const migrations = REGISTRY_MIGRATIONS.map((step) =>
      typeof step === 'string' ? step : (writer: DatabaseSync) => step(writer, rows),
    )
    migrate(database, migrations, `The registry ${path}`)
    const sealed = clearFreePages(database)
    if (sealed > 0) onProgress(`sealed the registry: ${sealed} rows`)
  } finally {
    database.close()
  }
}

function sealingOf(reader: RegistryReader, writer: RegistryWriter): RegistrySealing {
  return {
    addKey: async (key) => {
      // The reader first: it must open what the writer seals.
      reader.rows.sealer.add(key)
      await writer.addKey(key)
    },
    count: () => rowsToReseal(reader.database),
    reseal: (cursor) => writer.reseal(cursor),
  }
}

function registryOf(
  reader: RegistryReader,
  writer: RegistryWriter,
  options: RegistryOptions & { readonly recent: RecentDevices },
): Registry {
  const { refusalCapacity: capacity, onError, recent } = options
  const touches = new TouchBuffer(writer, onError)
  const refusals = new SqliteRefusalStore(reader, writer, { capacity, onError })
  const sightings = new SqliteSightingStore(reader, writer, onError)
  const messageCounters = new SqliteMessageCounterStore(reader, writer, onError)
  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    await Promise.all([touches.close(), refusals.close(), sightings.close(), messageCounters.close()])
    reader.database.close()
    await writer.close()
  }
  return {
    devices: new SqliteDeviceStore(reader, writer, { touches, recent }),
    authorities: new SqliteAuthorityStore(reader, writer),
    enrollments: new SqliteEnrollmentStore(reader, writer),
    registrations: new SqliteRegistrationStore(reader, writer),
    policies: new SqlitePolicyStore(reader, writer),
    refusals,
    sightings,
    messageCounters,
    revocations: new SqliteRevocationStore(reader, writer),
    alarms: new SqliteAlarmStore(reader, writer),
    credentialUses: new SqliteCredentialUseStore(reader, writer),
    webhooks: new SqliteWebhookStore(reader, writer),
    approvals: new SqliteApprovalStore(reader, writer),
    consumerGroups: new SqliteConsumerGroupStore(reader, writer),
    settings: new SqliteSettingStore(reader, writer),
    close: () => (closing ??= close()),
  }
}
