import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { Device } from '../../src/model/device.ts'
import type { DeviceStore } from '../../src/ports/registry.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import type { SqliteStores } from '../../src/sqlite/open.ts'
import { RecentDevices } from '../../src/sqlite/recent-devices.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { device, HUB, NOW, registration } from '../contract/nouns.ts'

const ANY = { kind: 'any' } as const

describe('a device that was read before', () => {
  let folder: string
  let stores: SqliteStores
  let devices: DeviceStore
  const known = device('known')
  const read = () => devices.get(HUB, known.deviceId)

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-recent-'))
    stores = await openSqliteStores({ folder, keys: DATA_KEYS, refusalCapacity: 1, clock: { now: () => NOW } })
    devices = stores.registry.devices
  })
  after(async () => {
    await stores.close()
    await rm(folder, { recursive: true })
  })
  beforeEach(async () => {
    await devices.delete(HUB, known.deviceId, ANY)
    await devices.create(known)
    assert.deepEqual(await read(), known)
  })

  test('is the same object while nothing changes it', async () => {
    assert.equal(await read(), await read())
  })

  const disabled: Device = { ...known, status: 'disabled', etag: 'BBBB' }
  const changes: Readonly<Record<string, [() => Promise<unknown>, Device | null]>> = {
    replaced: [() => devices.replace(disabled, ANY), disabled],
    deleted: [() => devices.delete(HUB, known.deviceId, ANY), null],
    'replaced among several': [() => devices.apply([{ kind: 'replace', device: disabled, expected: ANY }]), disabled],
    'registered anew': [
      () =>
        stores.registry.registrations.complete({
          registration: registration('known'),
          device: disabled,
          expectedDevice: ANY,
          leave: null,
        }),
      disabled,
    ],
    'left by a registration': [
      () =>
        stores.registry.registrations.complete({
          registration: registration('known'),
          device: null,
          expectedDevice: null,
          leave: known,
        }),
      null,
    ],
  }
  for (const [how, [change, expected]] of Object.entries(changes)) {
    test(`is read anew once it was ${how}, whoever read it meanwhile`, async () => {
      const changed = change()
      // In each turn until the answer: what these reads see must not be what later ones get.
      const progress = { isDone: false }
      void changed.finally(() => (progress.isDone = true))
      while (!progress.isDone) {
        await read()
        await new Promise((resolve) => setImmediate(resolve))
      }
      await changed
      assert.deepEqual(await read(), expected)
    })
  }

  test('is read anew after a change that was refused', async () => {
    const refused = devices.replace(disabled, { kind: 'exactly', etag: 'CCCC' })
    await read()
    assert.equal(await refused, 'etag-mismatch')
    assert.deepEqual(await read(), known)
  })

  test('shows when it was last seen, as the database does, and is no older for an older touch', async () => {
    devices.touch(HUB, known.deviceId, { lastActivityTime: NOW + 5, connectionStateUpdatedTime: NOW + 4 })
    await stores.close()
    stores = await openSqliteStores({ folder, keys: DATA_KEYS, refusalCapacity: 1, clock: { now: () => NOW } })
    devices = stores.registry.devices
    const seen = { ...known, lastActivityTime: NOW + 5, connectionStateUpdatedTime: NOW + 4 }
    assert.deepEqual(await read(), seen)
  })
})

describe('the memory of recent devices', () => {
  const row = { hub: HUB, device_id: 'known' }
  const key = `${HUB}/known`
  const touch = (time: number) =>
    ({ kind: 'touch', touches: [{ ...row, last_activity_time: time, connection_state_updated_time: null }] }) as const

  test('follows a touch that was written, and no other', () => {
    const recent = new RecentDevices()
    recent.keep(key, device('known', { lastActivityTime: NOW }), '{}')
    recent.ended(touch(NOW + 1), true)
    recent.ended(touch(NOW - 1), true)
    recent.ended(touch(NOW + 2), false)
    assert.equal(recent.get(key)?.lastActivityTime, NOW + 1)
    assert.equal(recent.get(key)?.connectionStateUpdatedTime, null)
    recent.ended({ kind: 'touch', touches: [{ ...row, device_id: 'other', last_activity_time: NOW }] }, true)
    assert.equal(recent.get(`${HUB}/other`), undefined)
  })

  test('keeps nothing while a change is under way, and not before the last of them is answered', () => {
    const recent = new RecentDevices()
    const change = { kind: 'delete', table: 'devices', key: row, expected: ANY } as const
    recent.begun(change)
    recent.begun({ kind: 'several', writes: [change] })
    recent.keep(key, device('known'), '{}')
    recent.ended(change, true)
    recent.keep(key, device('known'), '{}')
    assert.equal(recent.get(key), undefined)
    recent.ended({ kind: 'several', writes: [change] }, false)
    recent.keep(key, device('known'), '{}')
    assert.notEqual(recent.get(key), undefined)
  })

  test('leaves long documents to the database', () => {
    const recent = new RecentDevices()
    recent.keep(key, device('known'), 'x'.repeat(4_097))
    assert.equal(recent.get(key), undefined)
  })
})
