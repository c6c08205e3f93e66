import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { parseDeviceId } from '../../src/model/ids.ts'
import type { Sighting } from '../../src/model/sighting.ts'
import type { Registry } from '../../src/ports/registry.ts'
import { HUB, NOW, OTHER_HUB, device } from './nouns.ts'
import type { RegistryUnderTest } from './registry.contract.ts'

const OLD = ['a1', 'a0']
const NEW = ['b1', 'b0']
const DAY = 24 * 60 * 60 * 1000
const FIRST_PAGE = { after: null, limit: 10 }

function sighting(id: string, changes: Partial<Sighting> = {}): Sighting {
  const leaf = { id: `leaf-of-${id}`, subject: `CN=${id}`, notAfter: NOW + DAY }
  return { hub: HUB, deviceId: parseDeviceId(id), leaf, authorities: OLD, seen: NOW, by: 'connect', ...changes }
}

/** What every adapter must do for `registry.sightings`. */
export function sightingContract(
  adapter: string,
  open: (options: { refusalCapacity: number }) => Promise<RegistryUnderTest>,
): void {
  describe(`sightings contract: ${adapter}`, () => {
    let under: RegistryUnderTest
    let registry: Registry

    const names = async (...paths: (readonly string[])[]): Promise<readonly string[]> =>
      (await registry.sightings.listByPaths(HUB, paths, FIRST_PAGE)).map(({ deviceId }) => deviceId)

    beforeEach(async () => {
      under = await open({ refusalCapacity: 5 })
      registry = under.registry
      for (const id of ['d1', 'd2', 'd3']) await registry.devices.create(device(id))
    })
    afterEach(() => under.dispose())

    test('a sighting comes back exactly as given, also after reopening', async () => {
      const given = sighting('d1', { by: 'registration' })
      registry.sightings.note(given)
      assert.deepEqual(await registry.sightings.listByPaths(HUB, [OLD], FIRST_PAGE), [given])
      registry.sightings.note(sighting('d2'))
      registry = await under.reopen()
      assert.deepEqual(await names(OLD), ['d1', 'd2'])
      assert.deepEqual(await registry.sightings.paths(HUB), [{ authorities: OLD, devices: 2, lastSeen: NOW }])
    })

    test('a device counts for the path that it was seen with last', async () => {
      registry.sightings.note(sighting('d1'))
      registry.sightings.note(sighting('d2', { seen: NOW + 5 }))
      registry.sightings.note(sighting('d2', { seen: NOW + 6, authorities: NEW }))
      registry.sightings.note(sighting('d3', { authorities: [] }))
      assert.deepEqual(await registry.sightings.paths(HUB), [
        { authorities: [], devices: 1, lastSeen: NOW },
        { authorities: OLD, devices: 1, lastSeen: NOW },
        { authorities: NEW, devices: 1, lastSeen: NOW + 6 },
      ])
      registry.sightings.note(sighting('d1', { seen: NOW + 7, authorities: NEW }))
      assert.deepEqual(await names(OLD), [])
      assert.deepEqual(await names(NEW, []), ['d1', 'd2', 'd3'])
      const left = (await registry.sightings.paths(HUB)).find(({ authorities }) => authorities[0] === 'a1')
      assert.deepEqual(left, { authorities: OLD, devices: 0, lastSeen: NOW }, 'it tells when the last one was there')
    })

    test('an older sighting that comes late changes nothing', async () => {
      registry.sightings.note(sighting('d1', { seen: NOW + 5, authorities: NEW }))
      assert.deepEqual(await names(NEW), ['d1'])
      registry.sightings.note(sighting('d1', { seen: NOW }))
      assert.deepEqual(await names(OLD), [])
      assert.deepEqual(await names(NEW), ['d1'])
    })

    test('what is no device is not kept, and a deleted device is forgotten', async () => {
      registry.sightings.note(sighting('stranger'))
      registry.sightings.note(sighting('d1', { hub: OTHER_HUB }))
      registry.sightings.note(sighting('d1'))
      assert.deepEqual(await names(OLD), ['d1'])
      assert.deepEqual(await registry.sightings.paths(OTHER_HUB), [])
      await registry.devices.delete(HUB, parseDeviceId('d1'), { kind: 'any' })
      assert.deepEqual(await names(OLD), [])
      assert.equal((await registry.sightings.paths(HUB))[0]?.devices, 0)
    })

    test('pages follow the ids', async () => {
      for (const id of ['d1', 'd2', 'd3']) registry.sightings.note(sighting(id))
      const first = await registry.sightings.listByPaths(HUB, [OLD], { after: null, limit: 2 })
      assert.deepEqual(
        first.map(({ deviceId }) => deviceId),
        ['d1', 'd2'],
      )
      const rest = await registry.sightings.listByPaths(HUB, [OLD], { after: parseDeviceId('d2'), limit: 2 })
      assert.deepEqual(
        rest.map(({ deviceId }) => deviceId),
        ['d3'],
      )
      assert.deepEqual(await registry.sightings.listByPaths(HUB, [], FIRST_PAGE), [])
    })

    test('certificates are found by their end, the earliest first', async () => {
      const ends = { d1: NOW + 3 * DAY, d2: NOW + DAY, d3: Date.UTC(9999, 11, 31, 23, 59, 59) }
      for (const [id, notAfter] of Object.entries(ends))
        registry.sightings.note(sighting(id, { leaf: { id, subject: `CN=${id}`, notAfter } }))
      const range = { from: NOW, before: NOW + 30 * DAY }
      const found = await registry.sightings.ending(HUB, { ...range, limit: 10 })
      assert.deepEqual(
        found.map(({ deviceId }) => deviceId),
        ['d2', 'd1'],
      )
      assert.equal((await registry.sightings.ending(HUB, { ...range, limit: 1 })).length, 1)
      assert.equal(await registry.sightings.countEnding(HUB, range), 2)
      assert.equal(await registry.sightings.countEnding(HUB, { from: NOW + 2 * DAY, before: NOW + 3 * DAY }), 0)
      assert.equal(await registry.sightings.countEnding(OTHER_HUB, range), 0)
    })
  })
}
