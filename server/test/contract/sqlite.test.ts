import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import type { SqliteOptions, SqliteStores } from '../../src/sqlite/open.ts'
import { messageCounterContract } from './message-counters.contract.ts'
import { cloneContract } from './clones.contract.ts'
import { registryContract } from './registry.contract.ts'
import { sightingContract } from './sightings.contract.ts'
import { MAX_WAITING_BYTES, PERIOD_MS, telemetryLogContract } from './telemetry-log.contract.ts'

interface Opened {
  readonly stores: SqliteStores
  readonly reopen: () => Promise<SqliteStores>
  readonly dispose: () => Promise<void>
}

async function open(options: Omit<SqliteOptions, 'folder' | 'keys'>): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-contract-'))
  let stores = await openSqliteStores({ ...options, keys: DATA_KEYS, folder })
  return {
    stores,
    reopen: async () => {
      await stores.close()
      stores = await openSqliteStores({ ...options, keys: DATA_KEYS, folder })
      return stores
    },
    dispose: async () => {
      await stores.close()
      await rm(folder, { recursive: true })
    },
  }
}

const openRegistry = async ({ refusalCapacity }: { refusalCapacity: number }) => {
  const { stores, reopen, dispose } = await open({ refusalCapacity, clock: { now: () => 0 } })
  return { registry: stores.registry, reopen: async () => (await reopen()).registry, dispose }
}

registryContract('sqlite', openRegistry)
sightingContract('sqlite', openRegistry)
cloneContract('sqlite', openRegistry)
messageCounterContract('sqlite', openRegistry)

// Small blocks and segments make each test cross their borders.
const log = { periodMs: PERIOD_MS, maxWaitingBytes: MAX_WAITING_BYTES, blockBytes: 2_000, maxBatchBytes: 16_000 }

telemetryLogContract('sqlite', async ({ clock, onListenerError }) => {
  const { stores, reopen, dispose } = await open({ refusalCapacity: 1, clock, log, onError: onListenerError })
  return { log: stores.telemetryLog, reopen: async () => (await reopen()).telemetryLog, dispose }
})

telemetryLogContract('sqlite, segments of a few blocks', async ({ clock, onListenerError }) => {
  const settings = { ...log, segmentBytes: 8_000 }
  const { stores, reopen, dispose } = await open({
    refusalCapacity: 1,
    clock,
    log: settings,
    onError: onListenerError,
  })
  return { log: stores.telemetryLog, reopen: async () => (await reopen()).telemetryLog, dispose }
})
