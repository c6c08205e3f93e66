import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import rhea from 'rhea'
import { startAmqpServer } from './amqp-server.ts'
import type { AmqpServer } from './amqp-server.ts'
import { BareClient, closedWith } from './bare-client.ts'
import * as raw from './raw-peer.ts'
import { createSasTokenFor, signToken } from './tokens.ts'

let server: AmqpServer

before(async () => {
  server = await startAmqpServer({ idleMs: 2_000 })
})
after(() => server.close())

/** sasl-init with an initial response. */
function saslInit(mechanism: string, response: string): Buffer {
  const text = (code: number, value: string): Buffer =>
    Buffer.concat([Buffer.from([code]), uint32(Buffer.byteLength(value)), Buffer.from(value)])
  const fields = Buffer.concat([text(0xb3, mechanism), text(0xb0, response)])
  const list = Buffer.concat([Buffer.from([0x00, 0x53, 0x41, 0xd0]), uint32(fields.length + 4), uint32(2), fields])
  return raw.rawFrame(list, { type: 1 })
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const OK = Buffer.from([0x00, 0x53, 0x44]).toString('latin1')

test('offers the mechanisms of the service, and takes those that prove nothing yet', async () => {
  for (const mechanism of ['ANONYMOUS', 'MSSBCBS', 'EXTERNAL']) {
    const peer = new raw.RawPeer(server.plainPort)
    // A client may send everything at once.
    peer.socket.write(Buffer.concat([raw.SASL, saslInit(mechanism, 'x'), raw.HELLO, raw.frame('close')]))
    const answer = await peer.gone
    for (const offered of ['EXTERNAL', 'MSSBCBS', 'ANONYMOUS', 'PLAIN', 'Welcome!', 'holdfast-test'])
      assert.ok(answer.includes(offered), `${mechanism}: ${offered}`)
  }
})

test('refuses other logins in words, and ends the connection', async () => {
  const cases: [string, string, RegExp][] = [
    ['TPM', '\0scope\0reg\0key', /TPM attestation is not offered/],
    ['GSSAPI', '', /must be one of EXTERNAL, MSSBCBS, ANONYMOUS, PLAIN/],
    ['toString', '', /must be one of/],
    ['PLAIN', 'user', /authzid NUL user NUL password/],
    ['PLAIN', '\0a\0b\0c', /authzid NUL user NUL password/],
    ['PLAIN', '\0somebody\0secret', /The user must be/],
    ['PLAIN', '\0service@sas.root.nohub\0secret', /No hub of this server/],
    ['PLAIN', '\0service@sas.root.hub1\0SharedAccessSignature x', /tracking id/],
    ['PLAIN', `\0${server.scope}/registrations/nobody\0SharedAccessSignature x`, /tracking id/],
  ]
  for (const [mechanism, response, text] of cases) {
    const peer = new raw.RawPeer(server.plainPort)
    peer.socket.write(Buffer.concat([raw.SASL, saslInit(mechanism, response), raw.HELLO]))
    const answer = (await peer.gone).toString('latin1')
    assert.match(answer, text)
    assert.ok(answer.includes(OK) && !answer.includes('holdfast-test'), 'an outcome came, and no open')
  }
})

test('ends a connection that breaks the SASL layer', async () => {
  const attacks = [
    Buffer.concat([raw.SASL, raw.OPEN]),
    Buffer.concat([raw.SASL, raw.rawFrame(Buffer.alloc(9_000), { type: 1 })]),
    Buffer.concat([raw.SASL, raw.rawFrame(Buffer.from([0x00, 0x53, 0x41, 0x45]), { type: 1 })]),
    Buffer.concat([raw.SASL, saslInit('ANONYMOUS', ''), raw.SASL]),
    Buffer.concat([raw.SASL, saslInit('ANONYMOUS', ''), raw.AMQP, saslInit('ANONYMOUS', '')]),
  ]
  for (const bytes of attacks) {
    const peer = new raw.RawPeer(server.plainPort)
    peer.socket.write(bytes)
    await peer.gone
  }
})

test('a policy that comes to the hub by its own name is redirected to the event stream', async () => {
  const { primaryKey } = await server.policy('service')
  const resource = 'hub1.test/messages/events'
  const password = `${signToken(resource, primaryKey, 'iot', Date.now() + 60_000)}&skn=service`
  const client = new BareClient(server.plainPort, { username: 'service@sas.root.hub1', password })
  const receiver = client.reader('amqps://hub1.test/messages/events/$management')
  await once(receiver, 'receiver_error')
  const error = receiver.error as unknown as { condition: string; info: object }
  assert.equal(error.condition, 'amqp:link:redirect')
  assert.deepEqual(error.info, {
    hostname: 'hub1.test',
    'network-host': 'hub1.test',
    port: 5671,
    address: 'amqps://hub1.test:5671/hub1/$management',
  })
  await client.close()
})

test('nobody is redirected without a login', async () => {
  const client = new BareClient(server.plainPort)
  const closed = await closedWith(client.reader('amqps://hub1.test/messages/events/$management'))
  assert.equal(closed.condition, 'amqp:unauthorized-access')
  await client.close()
})

test('tokens for devices and services are told that they come too early', async () => {
  const client = new BareClient(server.plainPort)
  const policy = await server.policy('iothubowner')
  for (const audience of ['hub1.test', 'hub1.test/devices/dev1'])
    assert.equal(await client.putToken(createSasTokenFor(policy, audience, 'iot'), audience), 501)
  await client.close()
})

test('management refuses what it does not know', async () => {
  const client = new BareClient(server.plainPort)
  const read = (name: string, type: string, more: object = {}) =>
    client.request('$management', {
      application_properties: { operation: 'READ', name, type, ...more },
      body: rhea.types.wrap_binary(Buffer.from('[]')),
    })
  const status = async (...request: Parameters<typeof read>) =>
    (await read(...request)).application_properties?.['status-code'] as number
  assert.equal(await status('hub1', 'com.microsoft:eventhub'), 401)
  await client.login(server)
  assert.equal(await status('hub1', 'com.microsoft:eventhub'), 200)
  assert.equal(await status('HUB1', 'com.microsoft:eventhub'), 200)
  assert.equal(await status('hub2', 'com.microsoft:eventhub'), 401)
  assert.equal(await status('hub1', 'com.microsoft:queue'), 400)
  assert.equal(await status('hub1', 'com.microsoft:partition', { partition: '9' }), 400)
  const { body } = await read('hub1', 'com.microsoft:partition', { partition: '0' })
  assert.equal((body as { is_partition_empty: boolean }).is_partition_empty, true)
  await client.close()
})

test('a peer that falls silent is closed, one that keeps quiet company is not', async () => {
  const silent = new raw.RawPeer(server.plainPort)
  silent.socket.write(raw.HELLO)
  const lively = new BareClient(server.plainPort)
  await once(lively.connection, 'connection_open')
  assert.ok((await silent.gone).includes('max idle time exceeded'))
  assert.ok(lively.connection.is_open())
  await lively.close()
})

test('a server that shuts down says so to every peer', async () => {
  const other = await startAmqpServer()
  const client = new BareClient(other.plainPort)
  await client.login(other)
  const closed = once(client.connection, 'connection_close')
  await other.close()
  await closed
  assert.equal((client.connection.error as { condition?: string } | undefined)?.condition, 'amqp:connection:forced')
  assert.equal(other.head.connectionCount, 0)
})
