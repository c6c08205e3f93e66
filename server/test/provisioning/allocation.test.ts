import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import type { LinkedHub } from '../../src/model/enrollment.ts'
import { parseHubName, parseRegistrationId } from '../../src/model/ids.ts'
import { allocate, eligibleHubs } from '../../src/provisioning/allocation.ts'

const linked = (name: string, weight = 1, latency: number | null = null): LinkedHub => ({
  hub: parseHubName(name),
  host: `${name}.example`,
  weight,
  latency,
})

function placeOf(kind: 'hashed' | 'geoLatency' | 'static', id: string, hubs: readonly LinkedHub[]): string | null {
  const choice = allocate({ kind }, parseRegistrationId(id), hubs)
  return choice.kind === 'chosen' ? choice.hub.hub : null
}

const ids = Array.from({ length: 3_000 }, (_, index) => `device-${index}`)

describe('hashed allocation', () => {
  test('is stable: another hub takes devices from all and moves none between the others', () => {
    const hubArray = fc.uniqueArray(
      fc.record({ name: fc.stringMatching(/^[a-z]{1,8}$/), weight: fc.integer({ min: 1, max: 1000 }) }),
      { selector: ({ name }) => name, minLength: 2, maxLength: 6 },
    )
    fc.assert(
      fc.property(hubArray, fc.stringMatching(/^[a-z0-9]{1,20}$/), (hubs, id) => {
        const all = hubs.map(({ name, weight }) => linked(name, weight))
        const [added, ...before] = all
        assert.ok(added)
        const place = placeOf('hashed', id, all)
        assert.equal(placeOf('hashed', id, all.toReversed()), place)
        if (place !== added.hub) assert.equal(placeOf('hashed', id, before), place)
      }),
    )
  })

  test('follows the weights', () => {
    const hubs = [linked('small', 1), linked('large', 3)]
    const share = ids.filter((id) => placeOf('hashed', id, hubs) === 'large').length / ids.length
    assert.ok(share > 0.71 && share < 0.79, `a share of ${share}, not 0.75`)
  })

  test('moves devices only to a hub whose weight grows', () => {
    const [before, after] = [1, 2].map((weight) => [linked('a', weight), linked('b', 1), linked('c', 1)])
    for (const id of ids) {
      const [was, is] = [placeOf('hashed', id, before ?? []), placeOf('hashed', id, after ?? [])]
      if (was !== is) assert.equal(is, 'a')
    }
  })
})

test('geo-latency allocation takes the nearest hub, and shares what is equally near', () => {
  assert.equal(placeOf('geoLatency', 'dev', [linked('far', 9, 80), linked('near', 1, 3), linked('unknown', 9)]), 'near')
  const equal = [linked('a', 1, 3), linked('b', 1, 3), linked('c', 1, 4)]
  assert.deepEqual(new Set(ids.map((id) => placeOf('geoLatency', id, equal))), new Set(['a', 'b']))
  assert.notEqual(placeOf('geoLatency', 'dev', [linked('a'), linked('b')]), null)
})

test('static allocation takes the first hub that the enrollment names', () => {
  const hubs = [linked('a'), linked('b')]
  const resolve = (host: string) => hubs.find((hub) => hub.host === host.toLowerCase())?.hub ?? null
  const eligible = eligibleHubs(hubs, ['gone.example', 'B.example', 'a.example', 'b.example'], resolve)
  assert.deepEqual(
    eligible.map(({ hub }) => hub),
    ['b', 'a'],
  )
  assert.equal(placeOf('static', 'dev', eligible), 'b')
  assert.equal(eligibleHubs(hubs, [], resolve), hubs)
})

test('every policy fails in words when no hub is left', () => {
  for (const kind of ['hashed', 'geoLatency', 'static'] as const) assert.equal(placeOf(kind, 'dev', []), null)
})
