import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TakeOvers } from '../../src/hub/sessions/take-overs.ts'
import type { Presence } from '../../src/model/alarm.ts'
import { parseDeviceId, parseHubName } from '../../src/model/ids.ts'

const SECOND = 1_000

function at(seconds: number, address = '192.0.2.1'): Presence {
  const who = { hub: parseHubName('plant'), deviceId: parseDeviceId('press-1') }
  return { ...who, time: seconds * SECOND, address, port: 1, protocol: 'mqtt', certificate: null }
}

test('three moves within a minute are too many, three within more are not', () => {
  const takeOvers = new TakeOvers()
  const addresses = ['192.0.2.1', '192.0.2.2']
  const move = (count: number, seconds: number) =>
    takeOvers.count('press-1', at(seconds - 1, addresses[count % 2]), at(seconds, addresses[(count + 1) % 2]))
  assert.deepEqual(
    [0, 30, 61, 95].map((seconds, count) => move(count, seconds)),
    [null, null, null, null],
  )
  assert.equal(move(4, 100)?.moves, 3)
})

test('a bad network within one address may break eleven times a minute', () => {
  const takeOvers = new TakeOvers()
  const results = Array.from({ length: 12 }, (_, index) => takeOvers.count('press-1', at(index), at(index + 1)))
  assert.ok(results.slice(0, 11).every((result) => result === null))
  assert.deepEqual({ ...results[11], presences: [] }, { perMinute: 12, moves: 0, presences: [] })
  assert.equal(results[11]?.presences.length, 13)
})

test('each identity is counted for itself, and only so many are', () => {
  const takeOvers = new TakeOvers()
  const move = (identity: string) => takeOvers.count(identity, at(1), at(2, '192.0.2.2'))
  assert.deepEqual([move('a'), move('b'), move('a'), move('b')], [null, null, null, null])
  for (let count = 0; count < 10_000; count++) move(`other-${count}`)
  assert.equal(move('a'), null, 'it was forgotten')
})
