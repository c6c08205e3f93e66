import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WriteBehind } from '../../src/sqlite/write-behind.ts'

function gathering(options: { maxWaiting?: number; failsAt?: number } = {}) {
  const written: (readonly string[])[] = []
  const errors: unknown[] = []
  const waiting = new WriteBehind<string>({
    flushMs: 60_000,
    maxWaiting: options.maxWaiting ?? 100,
    maxBatch: 2,
    write: (items) => {
      written.push(items)
      return written.length === options.failsAt ? Promise.reject(new Error('disk full')) : Promise.resolve()
    },
    onError: (error) => errors.push(error),
  })
  return { waiting, written, errors }
}

test('the latest under each key is written, in batches and in the order of the first', async () => {
  const { waiting, written } = gathering()
  for (const [key, item] of ['a1', 'b1', 'a2', 'c1'].map((item) => [item.charAt(0), item] as const))
    waiting.note(key, item)
  assert.equal(waiting.peek('a'), 'a2')
  await waiting.flush()
  assert.deepEqual(written, [['a2', 'b1'], ['c1']])
  assert.equal(waiting.peek('a'), undefined)
  await waiting.flush()
  assert.equal(written.length, 2)
})

test('one key more than may wait is dropped, while those that wait are still renewed', async () => {
  const { waiting, written } = gathering({ maxWaiting: 1 })
  waiting.note('a', 'a1')
  waiting.note('b', 'b1')
  waiting.note('a', 'a2')
  await waiting.flush()
  assert.deepEqual(written, [['a2']])
})

test('a batch that fails is told and forgotten, and the next one is tried', async () => {
  const { waiting, written, errors } = gathering({ failsAt: 1 })
  for (const item of ['a', 'b', 'c']) waiting.note(item, item)
  await waiting.flush()
  assert.deepEqual(written, [['a', 'b'], ['c']])
  assert.equal(errors.length, 1)
})

test('closing writes what waits and takes nothing more', async () => {
  const { waiting, written } = gathering()
  waiting.note('a', 'a')
  await waiting.close()
  waiting.note('b', 'b')
  await waiting.flush()
  assert.deepEqual(written, [['a']])
})
