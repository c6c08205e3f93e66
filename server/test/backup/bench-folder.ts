import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { TestContext } from 'node:test'
import { pino } from 'pino'
import type { BackupSource } from '../../src/backup/restore.ts'
import { Backups } from '../../src/backup/take.ts'
import { Keyring } from '../../src/keys/keyring.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import type { SqliteStores } from '../../src/sqlite/open.ts'
import type { TelemetryLogSettings } from '../../src/sqlite/telemetry-log-settings.ts'
import { snapshotStores } from '../../src/sqlite/snapshot.ts'

export const random = { bytes: (count: number) => randomBytes(count) }
export const clock = { now: () => Date.now() }

/** Stores of a server, with its keyring and what takes its backups, and nothing in front of them. */
export interface Bench {
  readonly parent: string
  readonly data: string
  readonly keyring: Keyring
  readonly stores: SqliteStores
  readonly backups: Backups
  /** Takes a backup into a file of the place, under this name. */
  backUp(name?: string): Promise<string>
  source(path: string): BackupSource
  close(): Promise<void>
}

export async function openBench(t: TestContext, log: Partial<TelemetryLogSettings> = {}): Promise<Bench> {
  const parent = mkdtempSync(join(tmpdir(), 'holdfast-backup-'))
  t.after(() => rmSync(parent, { recursive: true }))
  const bench = await openIn(parent, 'data', log)
  t.after(() => bench.close())
  return bench
}

/** Opens the data folder of this name, e.g. a restored one. */
export async function openIn(parent: string, name: string, log: Partial<TelemetryLogSettings> = {}): Promise<Bench> {
  const folder = join(parent, name)
  const keyFile = join(parent, 'kek')
  const source = { kind: 'file', path: keyFile } as const
  const keyring = await Keyring.open({ folder, source, holdsSealedData: false, clock, random })
  const stores = await openSqliteStores({ folder, keys: keyring.dataKeys, refusalCapacity: 100, clock, log })
  keyring.onNewKey((key) => stores.sealing.addKey(key))
  const backups = new Backups({
    folder,
    keyring,
    clock,
    random,
    snapshot: snapshotStores,
    log: pino({ level: 'silent' }),
  })
  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    await stores.close()
    await keyring.close()
  }
  return {
    parent,
    data: folder,
    keyring,
    stores,
    backups,
    backUp: async (file = 'backup') => {
      const path = join(parent, file)
      const { bytes } = backups.begin()
      await pipeline(bytes, createWriteStream(path))
      return path
    },
    source: (path) => ({ path, key: source, random }),
    close: () => (closing ??= close()),
  }
}
