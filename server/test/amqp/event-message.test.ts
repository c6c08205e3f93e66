import assert from 'node:assert/strict'
import { test } from 'node:test'
import rhea from 'rhea'
import { Encoder } from '../../src/amqp/encoder.ts'
import { writeEvent } from '../../src/amqp/event-message.ts'
import type { RuntimeMetric } from '../../src/amqp/event-message.ts'
import { scanValue } from '../../src/amqp/value-scan.ts'
import { parseDeviceId, parseHubName } from '../../src/model/ids.ts'
import type { StoredEvent } from '../../src/model/message.ts'

const AUTH_METHOD = '{"scope":"device","type":"x509Certificate","issuer":"external","acceptingIpFilterRule":null}'

function stored(event: Partial<StoredEvent['event']> = {}): StoredEvent {
  return {
    position: { partition: 1, sequence: 300, enqueuedTime: 1_764_000_000_123 },
    event: {
      hub: parseHubName('hub1'),
      deviceId: parseDeviceId('dev1'),
      moduleId: null,
      generationId: '638000000000000000',
      authMethod: AUTH_METHOD,
      source: 'Telemetry',
      modelId: null,
      properties: {},
      application: {},
      body: Buffer.from('{"t":1}'),
      ...event,
    },
  }
}

function key(name: string): string {
  return Buffer.concat([Buffer.from([0xa3, name.length]), Buffer.from(name)]).toString('hex')
}

function encode(event: StoredEvent, metric: RuntimeMetric | null): Buffer {
  const out = new Encoder(64)
  writeEvent(out, event, metric)
  return out.take()
}

/** Section bytes by descriptor code. */
function sections(message: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  for (let at = 0; at < message.length;) {
    const next = scanValue(message, at, message.length)
    found.set(message[at + 2] ?? 0, message.subarray(at + 3, next))
    at = next
  }
  return found
}

test('annotations have the types that the clients expect', () => {
  const message = rhea.message.decode(encode(stored(), null))
  assert.deepEqual(message.message_annotations, {
    'x-opt-sequence-number': 300,
    'x-opt-offset': '300',
    'x-opt-enqueued-time': new Date(1_764_000_000_123),
    'iothub-enqueuedtime': new Date(1_764_000_000_123),
    'iothub-connection-device-id': 'dev1',
    'iothub-connection-auth-generation-id': '638000000000000000',
    'iothub-connection-auth-method': AUTH_METHOD,
    'iothub-message-source': 'Telemetry',
  })
  const map = sections(encode(stored(), null)).get(0x72)?.toString('hex') ?? ''
  assert.ok(map.includes(`${key('x-opt-sequence-number')}81000000000000012c`), 'sequence number is a long')
  assert.ok(map.includes(`${key('x-opt-offset')}a103333030`), 'offset is a string')
  assert.ok(map.includes(`${key('x-opt-enqueued-time')}83`), 'enqueued time is a timestamp')
})

test('device properties become AMQP properties, application properties stay text', () => {
  const properties = {
    messageId: 'm 1',
    correlationId: 'c/1',
    userId: 'u',
    to: '/x',
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    expiry: '2026-11-24T00:00:00.000Z',
    creationTime: '2026-11-24T01:02:03Z',
    interfaceId: 'urn:x',
    subject: 'thermostat',
  }
  const event = { properties, application: { 'k é': 'v', empty: '' }, modelId: 'dtmi:a;1', moduleId: 'mod' }
  const message = rhea.message.decode(encode(stored(event), null))
  assert.equal(message.message_id, 'm 1')
  assert.equal(message.correlation_id, 'c/1')
  assert.deepEqual(message.user_id, Buffer.from('u'))
  assert.equal(message.to, '/x')
  assert.equal(message.content_type, 'application/json')
  assert.equal(message.content_encoding, 'utf-8')
  assert.deepEqual(message.absolute_expiry_time, new Date('2026-11-24T00:00:00.000Z'))
  assert.deepEqual(message.application_properties, { 'k é': 'v', empty: '' })
  const annotations = message.message_annotations ?? {}
  assert.equal(annotations['dt-subject'], 'thermostat')
  assert.equal(annotations['dt-dataschema'], 'dtmi:a;1')
  assert.equal(annotations['iothub-interface-id'], 'urn:x')
  assert.equal(annotations['iothub-creation-time-utc'], '2026-11-24T01:02:03Z')
  assert.equal(annotations['iothub-connection-module-id'], 'mod')
})

test('an unreadable expiry is left out, and a body of any size survives', () => {
  for (const size of [0, 1, 255, 256, 70_000, 262_144]) {
    const body = Buffer.alloc(size, 7)
    const message = rhea.message.decode(encode(stored({ body, properties: { expiry: 'soon' } }), null))
    assert.equal(message.absolute_expiry_time, undefined)
    assert.deepEqual(message.body.content, body)
  }
})

test('long texts in any script survive', () => {
  const application = { a: 'é'.repeat(85), b: '漢'.repeat(86), c: '😀'.repeat(200), ['n'.repeat(300)]: 'v' }
  const message = rhea.message.decode(encode(stored({ application }), null))
  assert.deepEqual(message.application_properties, application)
})

test('runtime metric tells where the partition ends', () => {
  const metric = {
    bounds: { begin: 0, next: 301, lastEnqueuedTime: 1_764_000_000_123 },
    retrievedAt: 1_764_000_001_000,
  }
  const message = rhea.message.decode(encode(stored(), metric))
  assert.deepEqual(message.delivery_annotations, {
    last_enqueued_sequence_number: 300,
    last_enqueued_offset: '300',
    last_enqueued_time_utc: new Date(1_764_000_000_123),
    runtime_info_retrieval_time_utc: new Date(1_764_000_001_000),
  })
})
