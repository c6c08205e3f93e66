import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BoundedCache } from '../src/bounded-cache.ts'

test('keeps what is used and forgets the rest, within its capacity', () => {
  const cache = new BoundedCache<number>(10)
  cache.set('used', 0)
  for (let i = 1; i <= 1000; i++) {
    cache.set(`passing ${i}`, i)
    assert.equal(cache.get('used'), 0)
  }
  const kept = Array.from({ length: 1000 }, (_, i) => cache.get(`passing ${i + 1}`)).filter(
    (value) => value !== undefined,
  )
  assert.ok(kept.length <= 10, `${kept.length} entries`)
})

test('works with the smallest capacity', () => {
  const cache = new BoundedCache<number>(1)
  cache.set('a', 1)
  cache.set('a', 2)
  assert.equal(cache.get('a'), 2)
})

test('what was taken out is gone, from either half', () => {
  const cache = new BoundedCache<number>(2)
  cache.set('old', 1)
  cache.set('young', 2)
  for (const key of ['old', 'young']) {
    cache.delete(key)
    assert.equal(cache.get(key), undefined)
  }
})
