import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReplayWindow } from '@holdfast/seal'

const kind = (window: ReplayWindow<number>, counter: number, digest: string) => window.judge(counter, digest).kind

test('a counter is taken once, the same message is known again', () => {
  const window = new ReplayWindow<number>()
  assert.equal(kind(window, 0, 'a'), 'new')
  window.accept(0, 'a', 10)
  assert.deepEqual(window.judge(0, 'a'), { kind: 'repeated', outcome: 10 })
  assert.deepEqual(window.judge(0, 'b'), { kind: 'replayed', last: 0 })
  window.accept(7, 'c', 11)
  assert.equal(kind(window, 3, 'd'), 'replayed', 'a gap is not filled later')
  assert.equal(kind(window, 8, 'a'), 'new')
  assert.equal(window.last, 7)
})

test('what could not be kept may come again', () => {
  const window = new ReplayWindow<number>()
  window.accept(1, 'a', 1)
  window.accept(2, 'b', 2)
  window.giveBack(1)
  assert.equal(kind(window, 1, 'a'), 'new')
  window.accept(1, 'a', 3)
  assert.deepEqual(window.judge(1, 'a'), { kind: 'repeated', outcome: 3 })
  assert.equal(window.last, 2)
})

test('it remembers 64 messages, also when it is kept and taken up again', () => {
  const window = new ReplayWindow<number>()
  for (let counter = 1; counter <= 100; counter++) window.accept(counter, `d${counter}`, counter)
  const again = new ReplayWindow<number>({ last: window.last, recent: window.recent })
  assert.equal(again.recent.length, 64)
  assert.equal(kind(again, 100, 'd100'), 'repeated')
  assert.equal(kind(again, 37, 'd37'), 'repeated')
  assert.equal(kind(again, 36, 'd36'), 'replayed')
  assert.equal(kind(again, 101, 'x'), 'new')
})
