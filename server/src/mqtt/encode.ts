import type { ConnackCode, SubackCode } from './packets.ts'

/** Control packets that a server sends (MQTT 3.1.1 §3), each as a buffer ready to be written. */

export const PINGRESP = Buffer.from([0xd0, 0x00])

/** A refusal never claims a session [MQTT-3.2.2-4]. */
export function connack(code: ConnackCode, sessionPresent = false): Buffer {
  return Buffer.from([0x20, 0x02, code === 0 && sessionPresent ? 1 : 0, code])
}

/** PUBACKs for several packets in one buffer, in the order given [MQTT-4.6.0-2]. */
export function pubacks(packetIds: readonly number[]): Buffer {
  const buffer = Buffer.allocUnsafe(packetIds.length * 4)
  let at = 0
  for (const id of packetIds) {
    buffer[at] = 0x40
    buffer[at + 1] = 2
    buffer[at + 2] = id >> 8
    buffer[at + 3] = id & 0xff
    at += 4
  }
  return buffer
}

/** One return code per filter, in their order [MQTT-3.8.4-5]. */
export function suback(packetId: number, codes: readonly SubackCode[]): Buffer {
  return Buffer.concat([header(0x90, 2 + codes.length), uint16(packetId), Buffer.from(codes)])
}

export function unsuback(packetId: number): Buffer {
  return Buffer.from([0xb0, 2, packetId >> 8, packetId & 0xff])
}

export function publish(message: {
  topic: string
  payload: Uint8Array
  qos: 0 | 1
  /** Not 0 for QoS 1 [MQTT-2.3.1-1]; ignored for QoS 0. */
  packetId: number
}): Buffer {
  const topic = Buffer.from(message.topic, 'utf8')
  const id = message.qos === 0 ? Buffer.alloc(0) : uint16(message.packetId)
  const body = 2 + topic.length + id.length + message.payload.length
  return Buffer.concat([header(0x30 | (message.qos << 1), body), uint16(topic.length), topic, id, message.payload])
}

function header(first: number, remaining: number): Buffer {
  const bytes = [first]
  let rest = remaining
  do {
    const digit = rest % 128
    rest = (rest - digit) / 128
    bytes.push(rest > 0 ? digit | 0x80 : digit)
  } while (rest > 0)
  return Buffer.from(bytes)
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}
