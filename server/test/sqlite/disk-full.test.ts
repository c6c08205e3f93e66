import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Device } from '../../src/model/device.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import type { SqliteStores } from '../../src/sqlite/open.ts'
import { HUB, NOW, bodyOf, device, event } from '../contract/nouns.ts'

const PERIOD_MS = 60_000
const FULL = { code: 'storage-full' }
const ANY = { kind: 'any' } as const

function large(id: string): Device {
  return device(id, { statusReason: 'x'.repeat(20_000) })
}

/** The disk is made full by a quota on the files: SQLite then fails with SQLITE_FULL, as it does for ENOSPC. */
describe('full disk', () => {
  let folder = ''
  let now = NOW
  let stores: SqliteStores

  const open = (): Promise<SqliteStores> =>
    openSqliteStores({
      keys: DATA_KEYS,
      folder,
      refusalCapacity: 1_000,
      clock: { now: () => now },
      log: { periodMs: PERIOD_MS, maxPages: 60, segmentBytes: 10_000_000 },
      registryPages: 150,
    })

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-full-'))
    now = NOW
    stores = await open()
  })
  afterEach(async () => {
    await stores.close()
    rmSync(folder, { recursive: true })
  })

  /** Appends batches until one is refused; returns the bodies that were acknowledged. */
  async function fill(): Promise<string[]> {
    const acknowledged: string[] = []
    for (let batch = 0; ; batch++) {
      const bodies = Array.from({ length: 10 }, (_, index) => `${batch}.${index} ${'x'.repeat(1_000)}`)
      const results = await Promise.allSettled(bodies.map((body) => stores.telemetryLog.append(0, event(body))))
      const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
      if (refused.length > 0) {
        assert.equal(refused.length, bodies.length, 'events of one commit stand or fall together')
        for (const reason of refused) assert.equal((reason as { code: string }).code, 'storage-full')
        return acknowledged
      }
      acknowledged.push(...bodies)
    }
  }

  const bodies = async (): Promise<string[]> =>
    (await stores.telemetryLog.read(HUB, 0, 0, { events: 10_000, bytes: 100_000_000 })).map((one) => bodyOf(one.event))

  test('the log refuses new events, keeps the old ones and leaves no gap', async () => {
    const acknowledged = await fill()
    assert.ok(acknowledged.length > 0)
    assert.deepEqual(await bodies(), acknowledged)
    await assert.rejects(stores.telemetryLog.append(0, event('x'.repeat(100_000))), FULL)
    assert.equal((await stores.telemetryLog.bounds(HUB, 0)).next, acknowledged.length)
    await stores.close()
    stores = await open()
    assert.deepEqual(await bodies(), acknowledged)
  })

  test('the log goes on by itself when there is room again', async () => {
    const acknowledged = await fill()
    now += PERIOD_MS
    assert.equal((await stores.telemetryLog.append(0, event('room'))).sequence, acknowledged.length)
    assert.deepEqual(await bodies(), [...acknowledged, 'room'])
    await stores.telemetryLog.trim({ before: now, maxBytes: 1_000_000 })
    assert.deepEqual(await bodies(), ['room'])
  })

  test('the registry refuses what needs room, keeps the rest and goes on when there is room again', async () => {
    const ids: string[] = []
    const refusal = await (async (): Promise<unknown> => {
      for (;;) {
        const id = `device-${ids.length}`
        try {
          await stores.registry.devices.create(large(id))
          ids.push(id)
        } catch (error) {
          return error
        }
      }
    })()
    assert.equal((refusal as { code: string }).code, 'storage-full')
    assert.match(String(refusal), /disk is full; free some space/)
    const { total } = await stores.registry.devices.count(HUB)
    assert.equal(total, ids.length)
    for (const id of ids) assert.deepEqual(await stores.registry.devices.get(HUB, parseDeviceId(id)), large(id))
    for (const id of ids.slice(0, 3)) await stores.registry.devices.delete(HUB, parseDeviceId(id), ANY)
    assert.equal(await stores.registry.devices.create(large('room')), 'written')
  })

  test('a batch of the registry that does not fit is refused whole, and each caller is told', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, (_, index) => stores.registry.devices.create(large(`device-${index}`))),
    )
    const written = outcomes.filter((outcome) => outcome.status === 'fulfilled').length
    assert.ok(written < 60)
    assert.equal((await stores.registry.devices.count(HUB)).total, written)
    assert.equal(await stores.registry.devices.create(device('small')), 'written')
  })
})
