import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AckQueue } from '../../src/mqtt/ack-queue.ts'

function queue() {
  const told: (number | string)[] = []
  const acks = new AckQueue(
    { messages: 10, bytes: 1_000 },
    { acknowledge: (packetId) => told.push(packetId), fail: (error) => told.push((error as Error).message) },
  )
  return { acks, told }
}

test('acknowledgements go out in the order of the messages, whatever is durable first [MQTT-4.6.0-2]', async () => {
  const { acks, told } = queue()
  const first = Promise.withResolvers<void>()
  acks.add(1, 1, first.promise)
  acks.add(2, 1, Promise.resolve())
  await Promise.resolve()
  assert.deepEqual(told, [])
  first.resolve()
  await first.promise
  assert.deepEqual(told, [1, 2])
})

test('a message that fails behind one that still waits lets no further one in, so that none can overtake it', async () => {
  const { acks, told } = queue()
  const first = Promise.withResolvers<void>()
  acks.add(1, 1, first.promise)
  acks.add(2, 1, Promise.reject(new Error('throttled')))
  await Promise.resolve()
  await Promise.resolve()
  assert.equal(acks.isFull, true)
  assert.equal(acks.hasRoom, false)
  first.resolve()
  await first.promise
  assert.deepEqual(told, [1, 'throttled'])
})
