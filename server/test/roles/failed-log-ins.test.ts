import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FailedLogIns } from '../../src/operators/failed-log-ins.ts'

const MINUTE_MS = 60_000

function waits(failures: FailedLogIns, count: number, address: (index: number) => string, operator: string | null) {
  return Array.from({ length: count }, (_, index) => failures.count(address(index), operator))
}

test('the eleventh failure of a minute is put off until the minute is over', () => {
  const clock = { time: 0, now: () => clock.time }
  const failures = new FailedLogIns(clock)
  assert.deepEqual(
    waits(failures, 12, () => '192.0.2.1', null),
    [...Array<number>(10).fill(0), 60, 60],
  )
  assert.equal(failures.count('192.0.2.2', null), 0)
  clock.time = MINUTE_MS - 1
  assert.equal(failures.count('192.0.2.1', null), 1)
  clock.time = MINUTE_MS
  assert.equal(failures.count('192.0.2.1', null), 0)
})

test('a guesser with a hundred thousand addresses is counted by the operator whose token he guesses', () => {
  const failures = new FailedLogIns({ now: () => 0 })
  const asOtto = waits(failures, 20, (index) => `2001:db8::${index}`, 'otto')
  assert.deepEqual(asOtto, [...Array<number>(10).fill(0), ...Array<number>(10).fill(60)])
  waits(failures, 100_000, (index) => `2001:db8:1::${index}`, null)
  assert.equal(failures.count('2001:db8:2::1', 'otto'), 60, 'strangers do not push otto out')
  assert.equal(failures.count('2001:db8::1', null), 0, 'addresses are forgotten, the oldest first')
})

test('a clock that goes back puts nobody off for longer than a minute', () => {
  const clock = { time: 100 * MINUTE_MS, now: () => clock.time }
  const failures = new FailedLogIns(clock)
  waits(failures, 11, () => '192.0.2.1', 'otto')
  clock.time = 0
  assert.equal(failures.count('192.0.2.1', 'otto'), 0)
})
