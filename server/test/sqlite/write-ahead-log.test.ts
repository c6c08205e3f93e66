import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { openWriter } from '../../src/sqlite/database.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { HUB, NOW, event } from '../contract/nouns.ts'

describe('write-ahead log', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-wal-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  test('every opening syncs each commit and checkpoints nothing inside it', () => {
    for (let opening = 0; opening < 2; opening++) {
      const database = openWriter(join(folder, 'x.db'))
      const pragma = (name: string): unknown => Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]
      assert.equal(pragma('journal_mode'), 'wal')
      assert.equal(pragma('synchronous'), 2)
      assert.equal(pragma('wal_autocheckpoint'), 0)
      assert.equal(pragma('foreign_keys'), 1)
      database.exec('CREATE TABLE IF NOT EXISTS t (x INTEGER) STRICT')
      database.close()
    }
  })

  test('stays bounded while events pour in without a pause and a reader follows', async () => {
    const stores = await openSqliteStores({
      keys: DATA_KEYS,
      folder,
      refusalCapacity: 1,
      clock: { now: () => NOW },
      log: { checkpointBytes: 256 * 1024, maxBatchBytes: 64 * 1024 },
    })
    const log = stores.telemetryLog
    const hub = join(folder, 'telemetry', HUB)
    const body = 'x'.repeat(16_000)
    let largest = 0
    for (let round = 0; round < 50; round++) {
      await Promise.all(Array.from({ length: 10 }, () => log.append(0, event(body))))
      await log.read(HUB, 0, round * 10, { events: 10, bytes: 1_000_000 })
      const wal = readdirSync(hub).find((file) => file.endsWith('-wal')) ?? ''
      largest = Math.max(largest, statSync(join(hub, wal)).size)
    }
    await stores.close()
    assert.ok(largest < 2 * 1024 * 1024, `8 MB of events took ${largest} bytes of write-ahead log`)
    assert.deepEqual(
      readdirSync(hub).filter((file) => statSync(join(hub, file)).size > 0 && file.endsWith('-wal')),
      [],
    )
  })
})
