import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { HubError } from '../errors.ts'
import type { DataKey } from '../keys/envelope.ts'
import type { SealingKeys } from '../keys/sealer-for.ts'
import type { Clock } from '../ports/clock.ts'
import type { Registry } from '../ports/registry.ts'
import type { TelemetryLog } from '../ports/telemetry-log.ts'
import { lockFolder } from './folder.ts'
import { SEALED_SCHEMA } from './schema.ts'
import { openRegistry } from './registry.ts'
import type { RegistrySealing } from './registry.ts'
import { DEFAULT_LOG_SETTINGS } from './telemetry-log-settings.ts'
import type { TelemetryLogSettings } from './telemetry-log-settings.ts'
import { openTelemetryLog } from './telemetry-log.ts'
import type { TelemetrySealing } from './telemetry-log.ts'

export interface SqliteOptions {
  /** The data folder; made with mode 0700 when it is missing. */
  readonly folder: string
  /** Refusals kept. */
  readonly refusalCapacity: number
  readonly clock: Clock
  /** What everything secret is sealed with. */
  readonly keys: SealingKeys
  /** Whether data that an earlier release wrote in the clear is sealed now; otherwise it is refused. */
  readonly admitsUnsealed?: boolean
  /** Told how the sealing of such data goes on, in sentences. */
  readonly onProgress?: (message: string) => void
  /** Departures from `DEFAULT_LOG_SETTINGS`. */
  readonly log?: Partial<TelemetryLogSettings>
  /** Told once when a store has broken for good: stop the server, since it can acknowledge nothing any more. */
  readonly onFailure?: (error: HubError) => void
  /** Told of failures that no caller waits for, to be logged. */
  readonly onError?: (error: unknown) => void
  /** Quota of the registry's file in pages of 4 KiB. */
  readonly registryPages?: number
}

export interface SqliteStores {
  readonly registry: Registry
  readonly telemetryLog: TelemetryLog
  readonly sealing: StoreSealing
  /** Closes both stores, everything accepted being on the disk, and then lets go of the folder. */
  close(): Promise<void>
}

/** What the key commands need of the stores. */
interface StoreSealing {
  readonly registry: RegistrySealing
  readonly telemetry: TelemetrySealing
  /** From now on this key seals, in both stores. */
  addKey(key: DataKey): Promise<void>
}

/** Whether the folder holds a registry that is sealed; looks at the file alone, so that nothing is touched. */
export function holdsSealedData(folder: string): boolean {
  const path = join(folder, 'registry.db')
  if (!existsSync(path)) return false
  // https://www.sqlite.org/fileformat2.html §1.3: the user version, four bytes at offset 60.
  const version = Buffer.alloc(4)
  const file = openSync(path, 'r')
  try {
    return readSync(file, version, 0, 4, 60) === 4 && version.readUInt32BE() >= SEALED_SCHEMA
  } finally {
    closeSync(file)
  }
}

/**
 * Opens the embedded stores of one server: `registry.db` and `telemetry/` in the data folder. Rejects with HubError when
 * another server holds the folder or a newer release has written it.
 */
export async function openSqliteStores(options: SqliteOptions): Promise<SqliteStores> {
  const lock = lockFolder(options.folder)
  const [registry, telemetryLog] = await Promise.allSettled([
    openRegistry(registryOptions(options)),
    openTelemetryLog(logOptions(options)),
  ])
  const opened = [
    ...(registry.status === 'fulfilled' ? [registry.value.registry] : []),
    ...(telemetryLog.status === 'fulfilled' ? [telemetryLog.value.log] : []),
  ]
  const close = async (): Promise<void> => {
    try {
      await Promise.all(opened.map((store) => store.close()))
    } finally {
      lock.release()
    }
  }
  if (registry.status === 'fulfilled' && telemetryLog.status === 'fulfilled') {
    return {
      registry: registry.value.registry,
      telemetryLog: telemetryLog.value.log,
      sealing: sealingOf(registry.value.sealing, telemetryLog.value.sealing),
      close,
    }
  }
  await close()
  throw registry.status === 'rejected' ? registry.reason : (telemetryLog as PromiseRejectedResult).reason
}

function registryOptions(options: SqliteOptions): Parameters<typeof openRegistry>[0] {
  const { folder, refusalCapacity, registryPages: maxPages } = options
  return { folder, refusalCapacity, maxPages, ...sealingOptions(options), ...reports(options) }
}

function logOptions(options: SqliteOptions): Parameters<typeof openTelemetryLog>[0] {
  const { folder, clock, log } = options
  return {
    folder: join(folder, 'telemetry'),
    clock,
    settings: { ...DEFAULT_LOG_SETTINGS, ...log },
    ...sealingOptions(options),
    ...reports(options),
  }
}

function sealingOptions({ keys, admitsUnsealed = false, onProgress = () => {} }: SqliteOptions) {
  return { keys, admitsUnsealed, onProgress }
}

function sealingOf(registry: RegistrySealing, telemetry: TelemetrySealing): StoreSealing {
  return {
    registry,
    telemetry,
    addKey: async (key) => {
      await Promise.all([registry.addKey(key), telemetry.addKey(key)])
    },
  }
}

function reports({ onFailure = warn, onError = warn }: SqliteOptions): {
  onFailure: (error: HubError) => void
  onError: (error: unknown) => void
} {
  return { onFailure, onError }
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), { code: 'HOLDFAST_STORAGE' })
}
