import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseStartPosition } from '../../src/amqp/start-position.ts'
import { HubError } from '../../src/errors.ts'

test('reads every expression that the clients send', () => {
  const cases: [string | null, object][] = [
    [null, { kind: 'earliest' }],
    [`amqp.annotation.x-opt-offset > '-1'`, { kind: 'earliest' }],
    [`amqp.annotation.x-opt-offset > '@latest'`, { kind: 'latest' }],
    [`amqp.annotation.x-opt-offset > '42'`, { kind: 'offset', offset: '42', inclusive: false }],
    [`amqp.annotation.x-opt-offset >= '42'`, { kind: 'offset', offset: '42', inclusive: true }],
    [`amqp.annotation.x-opt-sequence-number > '7'`, { kind: 'sequence', sequence: 7, inclusive: false }],
    [`amqp.annotation.x-opt-sequence-number >= '0'`, { kind: 'sequence', sequence: 0, inclusive: true }],
    [`amqp.annotation.x-opt-sequence-number > '-1'`, { kind: 'sequence', sequence: -1, inclusive: false }],
    [`amqp.annotation.x-opt-enqueued-time > '1700000000000'`, { kind: 'time', after: 1_700_000_000_000 }],
    [` amqp.annotation.x-opt-offset > '1' `, { kind: 'offset', offset: '1', inclusive: false }],
  ]
  for (const [selector, position] of cases) assert.deepEqual(parseStartPosition(selector), position, String(selector))
})

test('refuses what it does not understand instead of ignoring it', () => {
  const selectors = [
    '',
    'true',
    `x-opt-offset > '1'`,
    `amqp.annotation.x-opt-offset < '1'`,
    `amqp.annotation.x-opt-offset > 1`,
    `amqp.annotation.x-opt-offset > '1' OR 1=1`,
    `amqp.annotation.x-opt-offset > ''`,
    `amqp.annotation.x-opt-offset > '1.5'`,
    `amqp.annotation.x-opt-offset > '9999999999999999999'`,
    `amqp.annotation.x-opt-sequence-number > '@latest'`,
    `amqp.annotation.x-opt-partition-key > '1'`,
    `amqp.annotation.x-opt-${'a'.repeat(100_000)} > '1'`,
  ]
  for (const selector of selectors)
    assert.throws(
      () => parseStartPosition(selector),
      (error) => error instanceof HubError && error.code === 'argument-invalid' && error.message.length < 400,
      selector.slice(0, 60),
    )
})
