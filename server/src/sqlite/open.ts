import { join } from 'node:path'
import type { HubError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Registry } from '../ports/registry.ts'
import type { TelemetryLog } from '../ports/telemetry-log.ts'
import { lockFolder } from './folder.ts'
import { openRegistry } from './registry.ts'
import { DEFAULT_LOG_SETTINGS } from './telemetry-log-settings.ts'
import type { TelemetryLogSettings } from './telemetry-log-settings.ts'
import { openTelemetryLog } from './telemetry-log.ts'

export interface SqliteOptions {
  /** The data folder; made with mode 0700 when it is missing. */
  readonly folder: string
  /** Refusals kept. */
  readonly refusalCapacity: number
  readonly clock: Clock
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
  /** Closes both stores, everything accepted being on the disk, and then lets go of the folder. */
  close(): Promise<void>
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
  const opened = [registry, telemetryLog].flatMap((store) => (store.status === 'fulfilled' ? [store.value] : []))
  const close = async (): Promise<void> => {
    try {
      await Promise.all(opened.map((store) => store.close()))
    } finally {
      lock.release()
    }
  }
  if (registry.status === 'fulfilled' && telemetryLog.status === 'fulfilled') {
    return { registry: registry.value, telemetryLog: telemetryLog.value, close }
  }
  await close()
  throw registry.status === 'rejected' ? registry.reason : (telemetryLog as PromiseRejectedResult).reason
}

function registryOptions(options: SqliteOptions): Parameters<typeof openRegistry>[0] {
  const { folder, refusalCapacity, registryPages: maxPages } = options
  return { folder, refusalCapacity, maxPages, ...reports(options) }
}

function logOptions(options: SqliteOptions): Parameters<typeof openTelemetryLog>[0] {
  const { folder, clock, log } = options
  return {
    folder: join(folder, 'telemetry'),
    clock,
    settings: { ...DEFAULT_LOG_SETTINGS, ...log },
    ...reports(options),
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
