import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { HubError } from '../../src/errors.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import type { DeviceId } from '../../src/model/ids.ts'
import type { HubEvent, MessageProperties } from '../../src/model/message.ts'
import { BlockWriter, decodeBlock } from '../../src/sqlite/event-codec.ts'
import { HUB, event } from '../contract/nouns.ts'

function encode(events: readonly HubEvent[]): Uint8Array {
  const writer = new BlockWriter(16)
  for (const one of events) writer.add(one)
  return writer.written.slice()
}

/** Any string, lone surrogates and control characters too. */
const text = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)), maxLength: 60 })
const PROPERTY_NAMES: readonly (keyof MessageProperties)[] = [
  'messageId',
  'correlationId',
  'userId',
  'to',
  'contentType',
  'contentEncoding',
  'expiry',
  'creationTime',
  'messageSchema',
  'interfaceId',
  'subject',
  'outputName',
  'ack',
]

const anyEvent: fc.Arbitrary<HubEvent> = fc
  .record(
    {
      hub: fc.constant(HUB),
      deviceId: fc.constantFrom('a', 'b', 'c').map((id) => id as DeviceId),
      moduleId: fc.option(text),
      generationId: text,
      authMethod: text,
      source: fc.constantFrom(
        'Telemetry' as const,
        'deviceConnectionStateEvents' as const,
        'deviceLifecycleEvents' as const,
        'twinChangeEvents' as const,
      ),
      modelId: fc.option(text),
      properties: fc.dictionary(fc.constantFrom(...PROPERTY_NAMES), text, { noNullPrototype: true }),
      application: fc.dictionary(fc.oneof(text, fc.constant('__proto__')), text, { noNullPrototype: true }),
      body: fc.uint8Array({ maxLength: 300 }),
    },
    { noNullPrototype: true },
  )
  .map((made) => made as HubEvent)

describe('event codec', () => {
  test('whatever is encoded is decoded to the same', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { minLength: 1, maxLength: 20 }), (events) => {
        const { events: decoded, sizes } = decodeBlock(encode(events), HUB, events.length)
        assert.deepEqual(decoded, events)
        assert.equal(
          sizes.reduce((sum, size) => sum + size, 1),
          encode(events).length,
        )
      }),
      { numRuns: 300 },
    )
  })

  test('the format is the one that older segments are written in', () => {
    const bytes = encode([event('hi', { moduleId: 'm' }), event('ä', { application: { alert: '漢' } })])
    assert.equal(
      Buffer.from(bytes).toString('latin1'),
      [
        '\x01',
        // flags, device id, generation id, authentication method, module id
        `\x04\0\x10device-1\0\x24638000000000000001\0\x40{"scope":"device","type":"x509"}\0\x02m`,
        // property set and values, application properties, body
        '\x10\x14text/plain\x01\0\x0aalert\x04no\x02hi',
        '\0\x01\x02\x03\x10\x14text/plain\x01\x05\x03\x22\x6f\x02\xc3\xa4',
      ].join(''),
    )
  })

  test('texts that repeat within a block are stored once', () => {
    const once = encode([event('x')]).length
    const hundred = encode(Array.from({ length: 100 }, () => event('x'))).length
    assert.ok(hundred - once < 99 * 30, `${(hundred - once) / 99} bytes for each more`)
  })

  test('every length of text and number survives', () => {
    const events = [0, 1, 23, 24, 25, 63, 64, 127, 128, 8_191, 8_192, 16_384, 70_000].flatMap((length) => [
      event('', { properties: { messageId: 'l'.repeat(length) }, body: new Uint8Array(length) }),
      event('', { properties: { messageId: `${'l'.repeat(length)}漢` } }),
    ])
    assert.deepEqual(decodeBlock(encode(events), HUB, events.length).events, events)
  })

  test('an event that cannot be encoded leaves the block as it was', () => {
    const writer = new BlockWriter(16)
    writer.add(event('a'))
    const broken = event('b', {
      deviceId: parseDeviceId('device-2'),
      application: { new: 'x', worse: 7 as unknown as string },
    })
    assert.throws(() => writer.add(broken))
    assert.throws(() => writer.add(event('b', { source: 'unknown' as 'Telemetry' })), TypeError)
    writer.add(event('c', { deviceId: parseDeviceId('device-2') }))
    assert.equal(writer.count, 2)
    const decoded = decodeBlock(writer.written, HUB, 2).events
    assert.deepEqual(decoded, [event('a'), event('c', { deviceId: parseDeviceId('device-2') })])
  })

  const sample = encode([event('one', { moduleId: 'm', modelId: 'dtmi:x;1' }), event('two'), event('漢')])

  test('a block cut off at any byte is refused', () => {
    for (let length = 0; length < sample.length; length++) {
      assert.throws(() => decodeBlock(sample.subarray(0, length), HUB, 3), HubError)
    }
  })

  test('a changed byte gives other events or a refusal, never another kind of failure', () => {
    for (let index = 0; index < sample.length; index++) {
      for (const flip of [1, 0x80, 0xff]) {
        const damaged = sample.slice()
        damaged[index] = (damaged[index] ?? 0) ^ flip
        try {
          decodeBlock(damaged, HUB, 3)
        } catch (error) {
          assert.ok(error instanceof HubError, String(error))
        }
      }
    }
  })

  test('a wrong count, an unknown version, bytes behind the end and overlong numbers are refused', () => {
    for (const count of [-1, 0, 2, 4, 2 ** 31]) assert.throws(() => decodeBlock(sample, HUB, count), HubError)
    assert.throws(() => decodeBlock(Buffer.concat([sample, new Uint8Array(1)]), HUB, 3), /1 bytes follow/)
    assert.throws(() => decodeBlock(Buffer.concat([Uint8Array.of(2), sample.subarray(1)]), HUB, 3), /format 2/)
    assert.throws(() => decodeBlock(Buffer.concat([Uint8Array.of(0x81, 0), sample.subarray(1)]), HUB, 3), /shortest/)
    const huge = Uint8Array.of(0x80 | 1, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0)
    assert.throws(() => decodeBlock(huge, HUB, 1), /too large/)
  })
})
