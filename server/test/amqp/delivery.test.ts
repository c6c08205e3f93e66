import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setDefaultCACertificates } from 'node:tls'
import { earliestEventPosition, EventHubConsumerClient } from '@azure/event-hubs'
import rhea from 'rhea'
import type { EventContext, Receiver } from 'rhea'
import { WebSocket } from 'ws'
import { event, HUB, startAmqpServer } from './amqp-server.ts'
import type { AmqpServer } from './amqp-server.ts'
import { BareClient, closedWith } from './bare-client.ts'
import * as raw from './raw-peer.ts'
import { createSasTokenFor } from './tokens.ts'

const FIRST = 'hub1/ConsumerGroups/$Default/Partitions/0'
const LARGE = 'hub1/ConsumerGroups/$Default/Partitions/1'
const EVENTS = 2_000
const LARGE_EVENTS = 400

let server: AmqpServer

before(async () => {
  server = await startAmqpServer()
  setDefaultCACertificates([server.ca])
  const append = (partition: number, count: number, body: Buffer) =>
    Promise.all(Array.from({ length: count }, () => server.telemetryLog.append(partition, event(body))))
  await append(0, EVENTS, Buffer.alloc(200, 65))
  await append(1, LARGE_EVENTS, Buffer.alloc(100_000, 66))
})
after(() => server.close())

async function loggedIn(options: object = {}): Promise<BareClient> {
  const client = new BareClient(server.plainPort, options)
  await client.login(server)
  return client
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Collects sequence numbers; resolves when `count` have come. */
async function take(receiver: Receiver, count: number): Promise<number[]> {
  const seen: number[] = []
  while (seen.length < count) {
    const [{ message }] = (await once(receiver, 'message')) as [EventContext]
    seen.push(Number(message?.message_annotations?.['x-opt-sequence-number']))
  }
  return seen
}

function count(receiver: Receiver): { seen: number } {
  const counter = { seen: 0 }
  receiver.on('message', () => counter.seen++)
  return counter
}

test('sends not one event more than there is credit for', async () => {
  const client = await loggedIn()
  const receiver = client.reader(FIRST)
  const counter = count(receiver)
  await once(receiver, 'receiver_open')
  for (const credit of [1, 10, 700]) {
    const before = counter.seen
    receiver.add_credit(credit)
    while (counter.seen < before + credit) await turns(1)
    await turns(50)
    assert.equal(counter.seen, before + credit)
  }
  await client.close()
})

test('gives unused credit back when the reader drains', async () => {
  const client = await loggedIn()
  const receiver = client.reader(FIRST)
  const counter = count(receiver)
  receiver.add_credit(EVENTS + 4_000_000_000)
  receiver.drain_credit()
  await once(receiver, 'receiver_drained')
  assert.equal(counter.seen, EVENTS)
  await client.close()
})

test('large events come in frames of the size that the reader takes', async () => {
  const client = await loggedIn({ max_frame_size: 4_096 })
  const receiver = client.reader(LARGE)
  receiver.add_credit(3)
  assert.deepEqual(await take(receiver, 3), [0, 1, 2])
  await client.close()
})

test('a reader that asks for unsettled deliveries gets them so', async () => {
  const client = await loggedIn()
  const receiver = client.reader(FIRST, { snd_settle_mode: 0 })
  receiver.add_credit(1)
  const [{ delivery }] = (await once(receiver, 'message')) as [EventContext]
  assert.equal(delivery?.remote_settled, false)
  delivery?.accept()
  receiver.add_credit(1)
  await once(receiver, 'message')
  await client.close()
})

test('a reader whose socket is full is not read for', async () => {
  const client = await loggedIn()
  const receiver = client.reader(LARGE)
  const { socket } = client.connection as unknown as { socket: Socket }
  const counter = count(receiver)
  receiver.add_credit(LARGE_EVENTS)
  await once(receiver, 'message')
  socket.pause()
  const reads = countReads()
  await turns(3_000)
  // The kernel holds some 10 MB of a loopback connection, the server one batch and its mark.
  assert.ok(reads.events < LARGE_EVENTS / 2, `${reads.events} of ${LARGE_EVENTS} events were read`)
  socket.resume()
  while (counter.seen < LARGE_EVENTS) await turns(1)
  await client.close()
})

/** Counts the events that are read from the log. */
function countReads(): { events: number } {
  const reads = { events: 0 }
  const log = server.telemetryLog
  const read = log.read.bind(log)
  log.read = async (...request: Parameters<typeof read>) => {
    const events = await read(...request)
    reads.events += events.length
    return events
  }
  return reads
}

/** Opens the session's window for `incoming` transfers from `next` on. */
function flow(next: number, incoming: number, link: object = {}): Buffer {
  const session = { next_incoming_id: next, incoming_window: incoming, next_outgoing_id: 1, outgoing_window: 9 }
  return raw.frame('flow', { ...session, delivery_count: 0, ...link })
}

test('a reader whose session window is shut is not read for, until it opens', async () => {
  const peer = new raw.RawPeer(server.plainPort)
  const audience = 'sb://localhost/hub1'
  const token = createSasTokenFor(await server.policy('service'), audience, 'event-hubs')
  peer.socket.write(Buffer.concat([raw.HELLO, raw.sendingLink('$cbs', 0), raw.receivingLink('$cbs', 1)]))
  await peer.heard('$cbs')
  const request = {
    message_id: '1',
    application_properties: { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: audience },
    body: token,
  }
  const put = raw.frame(
    'transfer',
    { handle: 0, delivery_id: 0, delivery_tag: Buffer.from('t'), message_format: 0 },
    0,
    rhea.message.encode(request),
  )
  peer.socket.write(Buffer.concat([flow(0, 100, { handle: 1, link_credit: 1 }), put]))
  await peer.heard('Accepted')
  const settle = raw.frame('disposition', { role: true, first: 0, settled: true })
  const shut = flow(1, 3, { handle: 2, link_credit: 1_000 })
  peer.socket.write(Buffer.concat([settle, raw.receivingLink(FIRST, 2), shut]))
  const events = () => peer.heardCount('iothub-message-source')
  while (events() < 3) await turns(1)
  await turns(200)
  assert.equal(events(), 3)
  peer.socket.write(flow(4, 5))
  while (events() < 8) await turns(1)
  await turns(200)
  assert.equal(events(), 8)
  peer.socket.destroy()
})

test('without a token, for another hub, or for less than is asked, a reader is turned away', async () => {
  const client = new BareClient(server.plainPort)
  assert.equal((await closedWith(client.reader(FIRST))).condition, 'amqp:unauthorized-access')
  const policy = await server.policy('service')
  const narrow = `sb://localhost/${FIRST}`
  assert.equal(await client.putToken(createSasTokenFor(policy, narrow, 'iot'), narrow), 202)
  assert.equal((await closedWith(client.reader(LARGE))).condition, 'amqp:unauthorized-access')
  const other = 'sb://localhost/hub2'
  assert.equal(await client.putToken(createSasTokenFor(policy, other, 'iot'), other), 404)
  const expired = createSasTokenFor(policy, narrow, 'iot', Date.now() - 1_000)
  assert.equal(await client.putToken(expired, narrow), 401)
  assert.equal(await client.putToken('SharedAccessSignature sr=x', narrow), 401)
  const receiver = client.reader(FIRST)
  receiver.add_credit(1)
  assert.deepEqual(await take(receiver, 1), [0])
  await client.close()
})

test('unknown addresses and links of later protocols end in words', async () => {
  const client = await loggedIn()
  const cases: [string, string, RegExp][] = [
    ['hub1/ConsumerGroups/$Default/Partitions/99', 'com.microsoft:argument-out-of-range', /no partition '99'/],
    ['hub1/ConsumerGroups/nobody/Partitions/0', 'amqp:not-found', /no consumer group 'nobody'/],
    ['/devices/dev1/messages/devicebound', 'amqp:not-implemented', /devices connect by MQTT/],
    ['/messages/serviceBound/feedback', 'amqp:not-implemented', /services use HTTPS/],
    ['somewhere', 'amqp:not-found', /No node/],
  ]
  for (const [address, condition, text] of cases) {
    const closed = await closedWith(client.reader(address))
    assert.equal(closed.condition, condition, address)
    assert.match(closed.description, text)
  }
  const selector = rhea.types.wrap_described(`amqp.annotation.x-opt-offset < '1'`, 0x468c00000004)
  for (const filter of [{ 'apache.org:selector-filter:string': selector }, { 'jms-selector': selector }]) {
    const filtered = await closedWith(client.reader(FIRST, { source: { address: FIRST, filter } }))
    assert.equal(filtered.condition, 'com.microsoft:argument-error')
  }
  for (const address of ['hub1', '/devices/dev1/messages/events', FIRST]) {
    const sender = client.connection.open_sender(address)
    assert.match(
      (await closedWith(sender)).condition,
      /^amqp:(not-found|not-implemented|unauthorized-access)$/,
      address,
    )
  }
  await client.close()
})

function epoch(value: number): object {
  return { properties: { 'com.microsoft:epoch': rhea.types.wrap_long(value) } }
}

test('a stalled reader learns at once that its place was taken', async () => {
  const client = await loggedIn()
  const stalled = client.reader(FIRST, epoch(3))
  stalled.add_credit(1)
  await once(stalled, 'message')
  const stolen = closedWith(stalled)
  const winner = client.reader(FIRST, epoch(3))
  assert.equal((await stolen).condition, 'amqp:link:stolen')
  for (const options of [epoch(2), {}])
    assert.equal((await closedWith(client.reader(FIRST, options))).condition, 'amqp:link:stolen')
  winner.close()
  await client.close()
})

test('a token that runs out closes the readers, a renewed one does not', async () => {
  const client = new BareClient(server.plainPort)
  await client.login(server, Date.now() + 2_000)
  const audience = `sb://localhost/${LARGE}`
  const token = createSasTokenFor(await server.policy('service'), audience, 'event-hubs')
  assert.equal(await client.putToken(token, audience), 202)
  const renewed = client.reader(LARGE)
  await once(renewed, 'receiver_open')
  const closed = await closedWith(client.reader(FIRST))
  assert.equal(closed.condition, 'amqp:unauthorized-access')
  assert.match(closed.description, /expired/)
  assert.ok(renewed.is_open())
  await client.close()
})

test('a client resumes after its connection was cut, without gap or repeat', async () => {
  const reader = new EventHubConsumerClient('$Default', await server.connectionString(), {
    retryOptions: { retryDelayInMs: 50, maxRetries: 5 },
  })
  const seen: number[] = []
  const done = Promise.withResolvers<void>()
  let cut = false
  const subscription = reader.subscribe(
    '2',
    {
      processEvents: async (events) => {
        seen.push(...events.map(({ sequenceNumber }) => sequenceNumber))
        if (seen.length >= 300) done.resolve()
        if (seen.length < 100 || cut) return
        cut = true
        server.dropConnections()
      },
      processError: async (error) => void (cut || done.reject(error)),
    },
    { startPosition: earliestEventPosition, maxBatchSize: 10, maxWaitTimeInSeconds: 1 },
  )
  for (let sequence = 0; sequence < 300; sequence++) await server.telemetryLog.append(2, event(`{"n":${sequence}}`))
  await done.promise
  assert.deepEqual(
    seen,
    Array.from({ length: 300 }, (_, index) => index),
  )
  await subscription.close()
  await reader.close()
})

test('reads over a WebSocket', async () => {
  const text = await server.connectionString()
  const endpoint = text.replace(`localhost:${server.port}`, `localhost:${server.webSocketPort}`)
  const reader = new EventHubConsumerClient('$Default', endpoint, {
    webSocketOptions: { webSocket: WebSocket, webSocketConstructorOptions: { ca: server.ca } },
    retryOptions: { maxRetries: 0 },
  })
  const first = Promise.withResolvers<number>()
  const subscription = reader.subscribe(
    '0',
    {
      processEvents: async ([event]) => event && first.resolve(event.sequenceNumber),
      processError: async (error) => first.reject(error),
    },
    { startPosition: earliestEventPosition },
  )
  assert.equal(await first.promise, 0)
  await subscription.close()
  await reader.close()
})

test('reads over plain TCP as the development flag does', async () => {
  const reader = new EventHubConsumerClient('$Default', await server.plainConnectionString())
  assert.equal((await reader.getEventHubProperties()).name, 'hub1')
  await reader.close()
})

test('events that come while a reader waits are sent at once', async () => {
  const client = await loggedIn()
  const receiver = client.reader('hub1/ConsumerGroups/$Default/Partitions/3')
  receiver.add_credit(10)
  await once(receiver, 'receiver_open')
  for (let sequence = 0; sequence < 3; sequence++) {
    const taken = take(receiver, 1)
    await server.telemetryLog.append(3, event('{}'))
    assert.deepEqual(await taken, [sequence])
  }
  await client.close()
  assert.equal((await server.consumers.partitionInfo(HUB, '3')).next, 3)
})
