import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { constantFrom, assert as check, asyncProperty, integer, uint8Array } from 'fast-check'
import rhea from 'rhea'
import { startAmqpServer } from './amqp-server.ts'
import type { AmqpServer } from './amqp-server.ts'
import * as raw from './raw-peer.ts'

let server: AmqpServer

before(async () => {
  server = await startAmqpServer()
})
after(() => server.close())

/** The server may notice the end of a connection a turn later than its peer does. */
async function allGone(): Promise<void> {
  while (server.head.connectionCount > 0) await new Promise((resolve) => setImmediate(resolve))
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const many = (count: number, make: (index: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)))
const cbs = raw.sendingLink('$cbs')
const session = { next_outgoing_id: 0, incoming_window: 10, outgoing_window: 10 }
const transfer = (fields: object, payload: Buffer): Buffer =>
  raw.frame(
    'transfer',
    { handle: 0, delivery_id: 0, delivery_tag: Buffer.from('t'), message_format: 0, ...fields },
    0,
    payload,
  )
const value = (...bytes: number[]): Buffer => Buffer.from([0x00, 0x53, 0x77, ...bytes])

/** Each must be answered with the end of the connection; `says` is the condition that the peer is told. */
const ATTACKS: { name: string; bytes: Buffer; says?: string }[] = [
  { name: 'HTTP', bytes: Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n') },
  { name: 'a TLS hello', bytes: Buffer.from('16030100c8010000c40303', 'hex') },
  { name: 'AMQP 0-9-1', bytes: Buffer.from('414d515000000901', 'hex') },
  { name: 'AMQP with TLS inside', bytes: Buffer.from('414d515002010000', 'hex') },
  { name: 'a frame of no size', bytes: Buffer.concat([raw.AMQP, uint32(0), uint32(0)]) },
  { name: 'a frame of 4 GB', bytes: Buffer.concat([raw.AMQP, uint32(0xffff_ffff), uint32(0x0200_0000)]) },
  {
    name: 'a frame over the limit',
    bytes: Buffer.concat([raw.HELLO, uint32(65_537)]),
    says: 'amqp:connection:framing-error',
  },
  {
    name: 'a data offset past the end',
    bytes: Buffer.concat([raw.HELLO, raw.rawFrame(Buffer.alloc(4), { offset: 200 })]),
    says: 'amqp:connection:framing-error',
  },
  {
    name: 'a SASL frame without SASL',
    bytes: Buffer.concat([raw.HELLO, raw.rawFrame(Buffer.alloc(4), { type: 1 })]),
    says: 'amqp:connection:framing-error',
  },
  { name: 'a begin before open', bytes: Buffer.concat([raw.AMQP, raw.BEGIN]) },
  { name: 'two opens', bytes: Buffer.concat([raw.HELLO, raw.OPEN]), says: 'amqp:illegal-state' },
  {
    name: 'an open that is a string',
    bytes: Buffer.concat([raw.AMQP, raw.rawFrame(Buffer.from([0x00, 0x53, 0x10, 0xa1, 1, 0x61]))]),
  },
  {
    name: 'an unknown performative',
    bytes: Buffer.concat([raw.HELLO, raw.rawFrame(Buffer.from([0x00, 0x53, 0x19, 0x45]))]),
    says: 'amqp:decode-error',
  },
  {
    name: 'a symbolic performative',
    bytes: Buffer.concat([raw.HELLO, raw.rawFrame(Buffer.from([0x00, 0xa3, 1, 0x61, 0x45]))]),
    says: 'amqp:decode-error',
  },
  {
    name: 'a body that is no performative',
    bytes: Buffer.concat([raw.HELLO, raw.rawFrame(Buffer.from([0x40]))]),
    says: 'amqp:decode-error',
  },
  {
    name: 'bytes behind a performative',
    bytes: Buffer.concat([raw.HELLO, raw.rawFrame(Buffer.from([0x00, 0x53, 0x17, 0x45, 0x40]))]),
    says: 'amqp:decode-error',
  },
  {
    name: 'a max-frame-size that makes the engine loop',
    bytes: Buffer.concat([raw.AMQP, raw.frame('open', { container_id: 'x', max_frame_size: 10 })]),
  },
  {
    name: 'an idle-time-out of 1 ms',
    bytes: Buffer.concat([raw.AMQP, raw.frame('open', { container_id: 'x', idle_time_out: 1 })]),
  },
  {
    name: 'the answer to a begin we never sent',
    bytes: Buffer.concat([raw.AMQP, raw.OPEN, raw.frame('begin', { ...session, remote_channel: 5 })]),
    says: 'amqp:illegal-state',
  },
  { name: 'two begins on one channel', bytes: Buffer.concat([raw.HELLO, raw.BEGIN]), says: 'amqp:illegal-state' },
  {
    name: 'too many sessions',
    bytes: Buffer.concat([raw.HELLO, many(30, (index) => raw.frame('begin', session, index + 1))]),
    says: 'amqp:resource-limit-exceeded',
  },
  {
    name: 'too many links',
    bytes: Buffer.concat([raw.HELLO, many(70, (index) => raw.sendingLink('$cbs', index))]),
    says: 'amqp:resource-limit-exceeded',
  },
  {
    name: 'a handle in use',
    bytes: Buffer.concat([raw.HELLO, cbs, raw.sendingLink('$cbs', 0, 'other')]),
    says: 'amqp:session:handle-in-use',
  },
  {
    name: 'a link name in use',
    bytes: Buffer.concat([raw.HELLO, cbs, raw.sendingLink('$cbs', 3, 's0')]),
    says: 'amqp:not-allowed',
  },
  {
    name: 'a link called __proto__',
    bytes: Buffer.concat([raw.HELLO, raw.sendingLink('$cbs', 0, '__proto__')]),
    says: 'amqp:not-allowed',
  },
  {
    name: 'a transfer without credit',
    bytes: Buffer.concat([raw.HELLO, raw.sendingLink('hub1/x'), transfer({}, value(0x40))]),
    says: 'amqp:link:transfer-limit-exceeded',
  },
  {
    name: 'a transfer on no link',
    bytes: Buffer.concat([raw.HELLO, transfer({}, value(0x40))]),
    says: 'amqp:session:unattached-handle',
  },
  {
    name: 'a transfer on no session',
    bytes: Buffer.concat([raw.AMQP, raw.OPEN, transfer({}, value(0x40))]),
    says: 'amqp:illegal-state',
  },
  {
    name: 'a flow for no link',
    bytes: Buffer.concat([raw.HELLO, raw.frame('flow', { ...session, next_incoming_id: 0, handle: 9 })]),
    says: 'amqp:session:unattached-handle',
  },
  {
    name: 'a flow that lacks its windows',
    bytes: Buffer.concat([raw.HELLO, raw.rawFrame(Buffer.from([0x00, 0x53, 0x13, 0x45]))]),
    says: 'amqp:decode-error',
  },
  {
    name: 'a disposition over four billion deliveries',
    bytes: Buffer.concat([
      raw.HELLO,
      raw.frame('disposition', { role: true, first: 0, last: 0xffff_ffff, settled: true }),
    ]),
    says: 'amqp:illegal-state',
  },
  {
    name: 'a terminus of an unknown kind',
    bytes: Buffer.concat([
      raw.HELLO,
      raw.rawFrame(
        Buffer.from([
          0x00, 0x53, 0x12, 0xc0, 15, 7, 0xa1, 1, 0x61, 0x43, 0x42, 0x40, 0x40, 0x40, 0x00, 0x53, 0x30, 0x45,
        ]),
      ),
    ]),
    says: 'amqp:decode-error',
  },
]

for (const { name, bytes, says } of ATTACKS) {
  test(`ends a connection that sends ${name}`, async () => {
    const peer = new raw.RawPeer(server.plainPort)
    peer.socket.write(bytes)
    const answer = await peer.gone
    if (says !== undefined) assert.ok(answer.includes(says), `${says} is not in ${answer.toString('latin1')}`)
    await allGone()
  })
}

/** On a link with credit: what the engine would decode. */
const MESSAGES: { name: string; payload: Buffer; says: string }[] = [
  {
    name: 'an array of four billion nulls',
    payload: value(0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40),
    says: 'amqp:decode-error',
  },
  {
    name: 'a list that claims four billion items',
    payload: value(0xd0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff),
    says: 'amqp:decode-error',
  },
  { name: 'descriptors without end', payload: Buffer.alloc(60_000), says: 'amqp:decode-error' },
  {
    name: 'properties that are a map',
    payload: Buffer.from([0x00, 0x53, 0x73, 0xc1, 1, 0]),
    says: 'amqp:decode-error',
  },
  {
    name: 'application properties that are a string',
    payload: Buffer.from([0x00, 0x53, 0x74, 0xa1, 1, 0x61]),
    says: 'amqp:decode-error',
  },
  { name: 'a section of no known kind', payload: Buffer.from([0x00, 0x53, 0x79, 0x40]), says: 'amqp:decode-error' },
  { name: 'a body cut short', payload: value(0xa1, 200, 0x61), says: 'amqp:decode-error' },
]

async function withCredit(): Promise<raw.RawPeer> {
  const peer = new raw.RawPeer(server.plainPort)
  const granted = new Promise<void>((resolve) => {
    // A flow frame: the link has credit now.
    const look = (chunk: Buffer) => chunk.includes(Buffer.from([0x00, 0x53, 0x13])) && resolve()
    peer.socket.on('data', look)
  })
  peer.socket.write(Buffer.concat([raw.HELLO, cbs]))
  await granted
  return peer
}

for (const { name, payload, says } of MESSAGES) {
  test(`ends a connection whose message is ${name}`, async () => {
    const peer = await withCredit()
    peer.socket.write(transfer({}, payload))
    assert.ok((await peer.gone).includes(says))
  })
}

test('bounds a message that never ends', async () => {
  const peer = await withCredit()
  for (let part = 0; part < 10; part++) peer.socket.write(transfer({ more: true }, Buffer.alloc(30_000)))
  assert.ok((await peer.gone).includes('amqp:link:message-size-exceeded'))
})

test('bounds the requests that are open', async () => {
  const peer = await withCredit()
  peer.socket.write(many(200, (id) => transfer({ delivery_id: id }, value(0x40))))
  assert.ok((await peer.gone).includes('amqp:link:transfer-limit-exceeded'))
})

test('survives frames that are nearly right', async () => {
  const whole = Buffer.concat([raw.HELLO, cbs, raw.receivingLink('$cbs'), transfer({}, value(0xa1, 1, 0x61))])
  await check(
    asyncProperty(
      integer({ min: 8, max: whole.length - 1 }),
      uint8Array({ minLength: 1, maxLength: 4 }),
      constantFrom('replace', 'insert', 'cut'),
      async (at, noise, how) => {
        const tail =
          how === 'replace'
            ? whole.subarray(at + noise.length)
            : how === 'insert'
              ? whole.subarray(at)
              : Buffer.alloc(0)
        const peer = new raw.RawPeer(server.plainPort)
        peer.socket.end(Buffer.concat([whole.subarray(0, at), noise, tail]))
        await peer.gone
      },
    ),
    { numRuns: 300 },
  )
  await allGone()
})

test('serves a good client after all that, and has kept nothing', async () => {
  const connection = rhea.create_container().connect({ port: server.plainPort, host: '127.0.0.1', reconnect: false })
  await new Promise((resolve) => connection.once('connection_open', resolve))
  assert.equal(server.head.connectionCount, 1)
  connection.close()
  await new Promise((resolve) => connection.once('connection_close', resolve))
  const [refusal] = await server.refusals.list({ limit: 1, rule: 'protocol-violation' })
  assert.ok(refusal)
})
