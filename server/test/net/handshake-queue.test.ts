import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'node:test'
import { HandshakeQueue } from '../../src/net/handshake-queue.ts'

/** A queue that writes down who began. */
function recorded() {
  const queue = new HandshakeQueue()
  const began: string[] = []
  const add = (address: string, name = address) => queue.add(address, () => began.push(name))
  return { queue, began, add }
}

test('who comes alone begins at once', () => {
  const { queue, began, add } = recorded()
  add('192.0.2.1')
  assert.deepEqual(began, ['192.0.2.1'])
  queue.close()
})

test('a few strangers begin in each turn of the event loop, address by address', async () => {
  const { queue, began, add } = recorded()
  for (let number = 0; number < 10; number += 1) add('192.0.2.1', `flood ${number}`)
  add('192.0.2.2', 'other')
  assert.deepEqual(began, ['flood 0', 'flood 1', 'flood 2', 'flood 3'])
  await nextTurn()
  assert.deepEqual(began.slice(4), ['flood 4', 'other', 'flood 5', 'flood 6'])
  await nextTurn()
  assert.deepEqual(began.slice(8), ['flood 7', 'flood 8', 'flood 9'])
  await nextTurn()
  add('192.0.2.3')
  assert.equal(began.at(-1), '192.0.2.3')
  queue.close()
})

test('addresses where devices have authenticated do not wait for strangers', async () => {
  const { queue, began, add } = recorded()
  queue.befriend('192.0.2.9')
  for (let number = 0; number < 8; number += 1) add('192.0.2.1', 'stranger')
  for (let number = 0; number < 32; number += 1) add('192.0.2.9', 'familiar')
  assert.equal(began.filter((name) => name === 'familiar').length, 32)
  assert.equal(began.filter((name) => name === 'stranger').length, 4)
  queue.close()
})

test('the first device that authenticates brings the others of its address forward', async () => {
  const { queue, began, add } = recorded()
  for (let number = 0; number < 8; number += 1) add(`198.51.100.${number}`, 'stranger')
  for (let number = 0; number < 8; number += 1) add('192.0.2.9', 'fleet')
  assert.equal(began.includes('fleet'), false)
  queue.befriend('192.0.2.9')
  assert.equal(began.filter((name) => name === 'fleet').length, 8)
  queue.close()
})

test('who leaves before the turn came never begins, also after changing lines', async () => {
  const { queue, began, add } = recorded()
  for (let number = 0; number < 4; number += 1) add('192.0.2.1', 'first')
  const leaveAsStranger = add('192.0.2.2', 'gone')
  leaveAsStranger()
  const leaves = Array.from({ length: 40 }, (_, number) => add('192.0.2.9', `fleet ${number}`))
  queue.befriend('192.0.2.9')
  for (const leave of leaves) leave()
  await nextTurn()
  await nextTurn()
  assert.equal(began.includes('gone'), false)
  assert.equal(began.filter((name) => name.startsWith('fleet')).length, 32)
  queue.close()
})

test('it forgets the address unused for longest', () => {
  const { queue } = recorded()
  for (let number = 0; number <= 16_384; number += 1) queue.befriend(`address ${number}`)
  assert.equal(queue.isFamiliar('address 0'), false)
  assert.equal(queue.isFamiliar('address 1'), true)
  assert.equal(queue.isFamiliar('address 16384'), true)
})
