import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setDefaultCACertificates } from 'node:tls'
import { earliestEventPosition, EventHubConsumerClient, latestEventPosition } from '@azure/event-hubs'
import type { EventPosition, ReceivedEventData, SubscribeOptions } from '@azure/event-hubs'
import { event, HUB, startAmqpServer } from './amqp-server.ts'
import type { AmqpServer } from './amqp-server.ts'

let server: AmqpServer
/** Partition 0 holds events 0 to 99, partition 1 holds one, the others none. */
const FIRST = 100
let middleTime = 0

before(async () => {
  server = await startAmqpServer()
  setDefaultCACertificates([server.ca])
  await server.consumers.createGroup(HUB, 'second')
  for (let sequence = 0; sequence < FIRST; sequence++) {
    const position = await server.telemetryLog.append(0, event(`{"n":${sequence}}`))
    // The times of neighbours may be equal; the last of equal times decides where "after" begins.
    if (sequence <= 50 || position.enqueuedTime === middleTime) middleTime = position.enqueuedTime
  }
  await server.telemetryLog.append(1, event('{"only":true}'))
})
after(() => server.close())

async function client(group = '$Default', options = {}): Promise<EventHubConsumerClient> {
  return new EventHubConsumerClient(group, await server.connectionString(), {
    retryOptions: { maxRetries: 0, timeoutInMs: 5_000 },
    ...options,
  })
}

/** Reads until `enough`, then closes; rejects with the first error of the client. */
async function read(
  reader: EventHubConsumerClient,
  partition: string,
  startPosition: EventPosition,
  enough: (events: readonly ReceivedEventData[]) => boolean,
  options: SubscribeOptions = {},
): Promise<ReceivedEventData[]> {
  const events: ReceivedEventData[] = []
  const done = Promise.withResolvers<void>()
  const subscription = reader.subscribe(
    partition,
    {
      processEvents: async (batch) => {
        events.push(...batch)
        if (enough(events)) done.resolve()
      },
      processError: async (error) => done.reject(error),
    },
    { startPosition, maxBatchSize: 20, maxWaitTimeInSeconds: 1, ...options },
  )
  try {
    await done.promise
  } finally {
    await subscription.close()
    await reader.close()
  }
  return events
}

const sequences = (events: readonly ReceivedEventData[]): number[] => events.map(({ sequenceNumber }) => sequenceNumber)
const until = (last: number) => (events: readonly ReceivedEventData[]) => events.at(-1)?.sequenceNumber === last
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

test('tells partitions and properties', async () => {
  const reader = await client()
  const properties = await reader.getEventHubProperties()
  assert.equal(properties.name, 'hub1')
  assert.deepEqual(properties.partitionIds, ['0', '1', '2', '3'])
  assert.ok(Math.abs(properties.createdOn.getTime() - Date.now()) < 60_000)
  const full = await reader.getPartitionProperties('0')
  assert.equal(full.beginningSequenceNumber, 0)
  assert.equal(full.lastEnqueuedSequenceNumber, 99)
  assert.equal(full.lastEnqueuedOffset, '99')
  assert.equal(full.isEmpty, false)
  const empty = await reader.getPartitionProperties('3')
  assert.equal(empty.isEmpty, true)
  assert.equal(empty.lastEnqueuedSequenceNumber, -1)
  await reader.close()
})

test('an unknown partition and an unknown consumer group are told as such', async () => {
  const reader = await client()
  await assert.rejects(reader.getPartitionProperties('9'), { code: 'ArgumentOutOfRangeError' })
  await reader.close()
  await assert.rejects(
    read(await client('nobody'), '0', earliestEventPosition, () => true),
    (error: Error) => {
      assert.match(error.message, /no consumer group 'nobody'/)
      return true
    },
  )
})

const STARTS: [string, () => EventPosition, () => number][] = [
  ['earliest', () => earliestEventPosition, () => 0],
  ['an offset', () => ({ offset: '41' }), () => 42],
  ['an offset, inclusive', () => ({ offset: '42', isInclusive: true }), () => 42],
  ['a sequence number', () => ({ sequenceNumber: 97 }), () => 98],
  ['a sequence number, inclusive', () => ({ sequenceNumber: 97, isInclusive: true }), () => 97],
]
for (const [name, position, first] of STARTS) {
  test(`reads from ${name}, in order and without gap`, async () => {
    const events = await read(await client(), '0', position(), until(99))
    assert.deepEqual(sequences(events), range(first(), FIRST))
    assert.deepEqual(events[0]?.body, { n: first() })
    assert.equal(events[0]?.offset, String(first()))
  })
}

test('reads from a time', async () => {
  const events = await read(await client(), '0', { enqueuedOn: middleTime }, until(99))
  assert.ok(events.every(({ enqueuedTimeUtc }) => enqueuedTimeUtc.getTime() > middleTime))
  assert.deepEqual(sequences(events), range(events[0]?.sequenceNumber ?? -1, FIRST))
})

test('latest sees only what comes later, in every consumer group', async () => {
  const groups = ['$Default', 'second', '$default']
  const readers = await Promise.all(
    groups.map(async (group) => {
      const ready = Promise.withResolvers<void>()
      const reader = await client(group)
      const events = read(reader, '2', latestEventPosition, (seen) => {
        ready.resolve()
        return seen.length > 0
      })
      return { events, ready: ready.promise }
    }),
  )
  // An empty batch after its waiting time tells that the reader stands at the end.
  await Promise.all(readers.map(({ ready }) => ready))
  await server.telemetryLog.append(2, event('{"late":1}'))
  for (const { events } of readers)
    assert.deepEqual(
      (await events).map(({ body }) => body),
      [{ late: 1 }],
    )
})

test('shows what the hub knows of each event', async () => {
  const [only] = await read(await client(), '1', earliestEventPosition, (events) => events.length === 1, {
    trackLastEnqueuedEventProperties: true,
  })
  const system = only?.systemProperties ?? {}
  assert.equal(system['iothub-connection-device-id'], 'dev1')
  assert.equal(system['iothub-message-source'], 'Telemetry')
  assert.equal(typeof system['iothub-enqueuedtime'], 'number')
  assert.equal(only?.contentType, 'application/json')
})

test('a reader with a higher epoch takes over, a lower one is turned away', async () => {
  const seated = Promise.withResolvers<void>()
  const first = await client()
  const stolen = read(first, '0', earliestEventPosition, () => (seated.resolve(), false), { ownerLevel: 2 })
  await seated.promise
  const lower = read(await client(), '0', earliestEventPosition, () => true, { ownerLevel: 1 })
  await assert.rejects(lower, { code: 'ReceiverDisconnectedError' })
  const winner = read(await client(), '0', earliestEventPosition, until(99), { ownerLevel: 3 })
  await assert.rejects(stolen, (error: Error & { code?: string }) => {
    assert.equal(error.code, 'ReceiverDisconnectedError')
    assert.match(error.message, /higher epoch of '3' is created hence current receiver '.*' with epoch '2'/)
    return true
  })
  assert.deepEqual(sequences(await winner), range(0, FIRST))
})

test('a wrong key and a policy without the right are refused and recorded', async () => {
  const right = await server.connectionString()
  const wrong = right.replace(/SharedAccessKey=[^;]+/, `SharedAccessKey=${Buffer.alloc(32, 1).toString('base64')}`)
  const cases: [string, string][] = [
    [wrong, 'token-signature-wrong'],
    [await server.connectionString('', 'device'), 'token-right-missing'],
  ]
  for (const [text, rule] of cases) {
    const reader = new EventHubConsumerClient('$Default', text, { retryOptions: { maxRetries: 0 } })
    await assert.rejects(reader.getEventHubProperties(), { code: 'UnauthorizedError' })
    await reader.close()
    const [refusal] = await server.refusals.list({ limit: 1, rule })
    assert.equal(refusal?.area, 'events')
  }
})

test('a ready-made shared access signature needs no SASL layer', async () => {
  const { createSasTokenFor } = await import('./tokens.ts')
  const resource = `sb://localhost:${server.port}/hub1`
  const token = createSasTokenFor(await server.policy('service'), resource, 'event-hubs')
  const text = `Endpoint=sb://localhost:${server.port}/;EntityPath=hub1;SharedAccessSignature=${token}`
  const reader = new EventHubConsumerClient('$Default', text, { retryOptions: { maxRetries: 0 } })
  assert.equal((await reader.getEventHubProperties()).name, 'hub1')
  await reader.close()
})
