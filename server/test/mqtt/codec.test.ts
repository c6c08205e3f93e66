import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import type { Packet } from 'mqtt-packet'
import { Decoder, PacketTooLarge } from '../../src/mqtt/decoder.ts'
import { connack, PINGRESP, pubacks, publish as encodePublish, suback, unsuback } from '../../src/mqtt/encode.ts'
import type { ClientPacket } from '../../src/mqtt/packets.ts'
import { MqttViolation } from '../../src/mqtt/violation.ts'
import { MALFORMED } from './corpus/malformed.ts'
import { connect, packet, publish, subscribe } from './packet-bytes.ts'

const LIMIT = 300 * 1024

function decodeAll(chunks: readonly Buffer[], limit = LIMIT): ClientPacket[] {
  const decoder = new Decoder(limit)
  const packets: ClientPacket[] = []
  for (const chunk of chunks) {
    decoder.write(chunk)
    for (let next = decoder.next(); next !== null; next = decoder.next()) packets.push(next)
  }
  return packets
}

function oneOf(bytes: Buffer): ClientPacket {
  const [first, ...others] = decodeAll([bytes])
  assert.ok(first !== undefined && others.length === 0)
  return first
}

function oracle(bytes: Buffer): Packet[] {
  const parser = mqttPacket.parser({ protocolVersion: 4 })
  const packets: Packet[] = []
  parser.on('packet', (parsed) => packets.push(parsed))
  parser.on('error', (error) => {
    throw error
  })
  parser.parse(bytes)
  return packets
}

/** What mqtt-packet makes of a packet, in our words. */
function translated(parsed: Packet): ClientPacket {
  switch (parsed.cmd) {
    case 'connect':
      return {
        type: 'connect',
        clientId: parsed.clientId,
        cleanSession: parsed.clean ?? false,
        keepAlive: parsed.keepalive ?? 0,
        userName: parsed.username ?? null,
        password: parsed.password ?? null,
        will: parsed.will
          ? {
              topic: parsed.will.topic,
              payload: parsed.will.payload as Buffer,
              qos: parsed.will.qos ?? 0,
              retain: parsed.will.retain ?? false,
            }
          : null,
      }
    case 'publish':
      return {
        type: 'publish',
        topic: parsed.topic,
        payload: parsed.payload as Buffer,
        qos: parsed.qos,
        retain: parsed.retain,
        dup: parsed.dup,
        packetId: parsed.messageId ?? 0,
      }
    case 'subscribe':
      return {
        type: 'subscribe',
        packetId: parsed.messageId ?? 0,
        subscriptions: parsed.subscriptions.map(({ topic, qos }) => ({ filter: topic, qos })),
      }
    case 'unsubscribe':
      return { type: 'unsubscribe', packetId: parsed.messageId ?? 0, filters: parsed.unsubscriptions }
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return { type: parsed.cmd, packetId: parsed.messageId ?? 0 }
    case 'pingreq':
    case 'disconnect':
      return { type: parsed.cmd }
    default:
      throw new Error(`unexpected ${parsed.cmd}`)
  }
}

const word = fc.string({ unit: fc.constantFrom('a', 'é', '𝄞', '/', '$', ' ', '\ufeff'), minLength: 1, maxLength: 12 })
const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
const qos = fc.constantFrom(0, 1, 2)
const packetId = fc.integer({ min: 1, max: 0xffff })
const validPacket = fc.oneof(
  fc
    .record({ topic: word, payload: body, qos, packetId, retain: fc.boolean() })
    .map(({ topic, payload, ...options }) => publish(topic, payload, options)),
  fc
    .record(
      {
        clientId: word,
        userName: word,
        keepAlive: fc.nat(0xffff),
        clean: fc.boolean(),
        will: fc.record({ topic: word, payload: body, qos, retain: fc.boolean() }),
      },
      { requiredKeys: ['clientId'] },
    )
    .map((fields) => connect(fields)),
  fc.record({ userName: word, password: body }).map((fields) => connect(fields)),
  fc
    .record({ id: packetId, filters: fc.array(fc.tuple(word, qos), { minLength: 1, maxLength: 5 }) })
    .map(({ id, filters }) => subscribe(id, ...filters)),
  fc.constantFrom(0x40, 0x50, 0x62, 0x70).chain((first) => packetId.map((id) => packet(first, [id >> 8, id & 0xff]))),
  fc.constantFrom(packet(0xc0), packet(0xe0)),
)

describe('valid packets', () => {
  test('mean the same to mqtt-packet', () => {
    fc.assert(
      fc.property(validPacket, (bytes) => {
        assert.deepEqual(oneOf(bytes), oracle(bytes).map(translated)[0])
      }),
      { numRuns: 2_000, seed: 311 },
    )
  })

  test('mean the same however the stream is cut', () => {
    const stream = fc.array(validPacket, { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), (packets, cuts) => {
        const whole = Buffer.concat(packets)
        const borders = [...new Set(cuts.map((cut) => cut % whole.length))].toSorted((a, b) => a - b)
        const chunks = [...borders, whole.length].map((end, index) =>
          whole.subarray(index === 0 ? 0 : borders[index - 1], end),
        )
        assert.deepEqual(decodeAll(chunks), packets.map(oneOf))
        assert.deepEqual(decodeAll(Array.from(whole, (byte) => Buffer.from([byte]))), packets.map(oneOf))
      }),
      { numRuns: 200, seed: 311 },
    )
  })

  test('keep a byte order mark [MQTT-1.5.3-3]', () => {
    const parsed = oneOf(publish('\ufeffa', ''))
    assert.equal(parsed.type === 'publish' && parsed.topic, '\ufeffa')
  })

  test('of another version are recognised without being read', () => {
    assert.deepEqual(oneOf(connect({ level: 5 })), { type: 'unsupported-connect', level: 5 })
    assert.deepEqual(oneOf(connect({ name: 'MQIsdp', level: 3 })), { type: 'unsupported-connect', level: 3 })
  })

  test('with the topic of the packet before share its string', () => {
    const [first, second, third] = decodeAll([
      Buffer.concat([publish('devices/dev1', 'a'), publish('devices/dev1', 'b'), publish('devices/dev2', 'c')]),
    ])
    assert.ok(first?.type === 'publish' && second?.type === 'publish' && third?.type === 'publish')
    assert.deepEqual([first.topic, second.topic, third.topic], ['devices/dev1', 'devices/dev1', 'devices/dev2'])
  })
})

describe('malformed packets', () => {
  for (const { name, bytes, statement } of MALFORMED) {
    test(`${name} [${statement}]`, () => {
      for (const chunks of [[bytes], Array.from(bytes, (byte) => Buffer.from([byte]))]) {
        assert.throws(
          () => decodeAll(chunks),
          (error: unknown) => error instanceof MqttViolation && error.statement.endsWith(statement),
        )
      }
    })
  }

  test('of any kind never throw anything else, and never read past their end', () => {
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
      fc.tuple(validPacket, fc.nat(), fc.nat(255)).map(([bytes, at, value]) => {
        const mutated = Buffer.from(bytes)
        mutated[at % mutated.length] = value
        return mutated
      }),
    )
    fc.assert(
      fc.property(hostile, (bytes) => {
        try {
          decodeAll([bytes, Buffer.alloc(3, 0xc0)])
        } catch (error) {
          assert.ok(error instanceof MqttViolation, String(error))
        }
      }),
      { numRuns: 20_000, seed: 311 },
    )
  })
})

describe('the packet limit', () => {
  test('refuses a packet as soon as its length is known', () => {
    for (const announced of [
      [0x30, 0xff, 0xff, 0xff, 0x7f],
      [0x10, 0x80, 0x80, 0x80, 0x01],
    ]) {
      assert.throws(() => decodeAll([Buffer.from(announced)]), PacketTooLarge)
      assert.throws(() => decodeAll(announced.map((byte) => Buffer.from([byte]))), PacketTooLarge)
    }
  })

  test('lies between one byte too many and just enough', () => {
    const bytes = publish('a', Buffer.alloc(1000))
    assert.equal(decodeAll([bytes], bytes.length).length, 1)
    assert.throws(() => decodeAll([bytes], bytes.length - 1), PacketTooLarge)
  })

  test('a packet that was announced and does not come costs no more than what came', () => {
    const beginning = Buffer.from(publish('a', Buffer.alloc(250 * 1024)).subarray(0, 100))
    const before = process.memoryUsage().arrayBuffers
    const decoders = Array.from({ length: 200 }, () => {
      const decoder = new Decoder(LIMIT)
      decoder.write(beginning)
      assert.equal(decoder.next(), null)
      return decoder
    })
    const perDecoder = (process.memoryUsage().arrayBuffers - before) / decoders.length
    assert.ok(perDecoder < 8 * 1024, `${perDecoder} bytes each`)
  })
})

test('what the server sends is what mqtt-packet understands', () => {
  assert.deepEqual(connack(0, true), Buffer.from([0x20, 2, 1, 0]))
  assert.deepEqual(connack(5, true), Buffer.from([0x20, 2, 0, 5]))
  const sent = Buffer.concat([
    connack(3),
    pubacks([1, 0xffff, 256]),
    suback(7, [0, 1, 0x80]),
    unsuback(0x1234),
    PINGRESP,
    encodePublish({ topic: 'é/x', payload: Buffer.alloc(20_000, 1), qos: 1, packetId: 77 }),
    encodePublish({ topic: 'a', payload: Buffer.alloc(0), qos: 0, packetId: 0 }),
  ])
  const [refused, first, second, third, granted, gone, pong, answer, push] = oracle(sent)
  assert.ok(refused?.cmd === 'connack' && refused.returnCode === 3 && !refused.sessionPresent)
  assert.deepEqual(
    [first, second, third].map((ack) => ack?.messageId),
    [1, 0xffff, 256],
  )
  assert.ok(granted?.cmd === 'suback' && granted.messageId === 7)
  assert.deepEqual([...granted.granted], [0, 1, 0x80])
  assert.ok(gone?.cmd === 'unsuback' && gone.messageId === 0x1234)
  assert.equal(pong?.cmd, 'pingresp')
  assert.ok(answer?.cmd === 'publish' && answer.topic === 'é/x' && answer.qos === 1 && answer.messageId === 77)
  assert.equal(answer.payload.length, 20_000)
  assert.ok(push?.cmd === 'publish' && push.qos === 0 && push.payload.length === 0)
})
