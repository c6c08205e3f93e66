import type {
  ClientPacket,
  ConnectPacket,
  PublishPacket,
  QoS,
  SubscribePacket,
  UnsupportedConnect,
  Will,
} from './packets.ts'
import { assertTopicFilter, assertTopicName, readText } from './text.ts'
import type { TopicReader } from './text.ts'
import { MqttViolation } from './violation.ts'

/** Filters in one SUBSCRIBE or UNSUBSCRIBE; a device has a handful. */
const MAX_FILTERS = 64

/**
 * Parses the body of one packet: `first` is the first byte of its fixed header, the body lies in `[start, end)`.
 * @throws MqttViolation when a MUST of MQTT 3.1.1 is broken.
 */
export function parsePacket(
  first: number,
  buffer: Buffer,
  start: number,
  end: number,
  topics: TopicReader,
): ClientPacket {
  const type = first >> 4
  if (type === 3) return parsePublish(first, buffer, start, end, topics)
  assertFirstByte(first)
  const fields = new Fields(buffer, start, end)
  const packet = parseBody(type, fields)
  if (packet.type !== 'unsupported-connect') fields.assertDone()
  return packet
}

function parseBody(type: number, fields: Fields): ClientPacket {
  switch (type) {
    case 1:
      return parseConnect(fields)
    case 4:
      return { type: 'puback', packetId: fields.packetId() }
    case 5:
      return { type: 'pubrec', packetId: fields.packetId() }
    case 6:
      return { type: 'pubrel', packetId: fields.packetId() }
    case 7:
      return { type: 'pubcomp', packetId: fields.packetId() }
    case 8:
      return parseSubscribe(fields)
    case 10:
      return { type: 'unsubscribe', packetId: fields.packetId(), filters: parseFilters(fields) }
    case 12:
      return { type: 'pingreq' }
    default:
      return { type: 'disconnect' }
  }
}

/**
 * What the first byte of a packet tells by itself: a type that clients send, with its flags. PUBREL, SUBSCRIBE and
 * UNSUBSCRIBE carry 0010, PUBLISH its own, everything else 0000.
 */
export function assertFirstByte(first: number): void {
  const type = first >> 4
  if (type === 3) return
  if (!CLIENT_TYPES.has(type))
    throw new MqttViolation('MQTT-3.1.1 §2.2.1', `A client must not send packet type ${type}`)
  const expected = type === 6 || type === 8 || type === 10 ? 0b0010 : 0
  if ((first & 0x0f) !== expected) {
    throw new MqttViolation('MQTT-2.2.2-2', `Packet type ${type} has wrong header flags`)
  }
}

const CLIENT_TYPES: ReadonlySet<number> = new Set([1, 3, 4, 5, 6, 7, 8, 10, 12, 14])

function parsePublish(first: number, buffer: Buffer, start: number, end: number, topics: TopicReader): PublishPacket {
  const qos = qosOf(first >> 1, 'MQTT-3.3.1-4')
  const dup = (first & 8) !== 0
  if (qos === 0 && dup) throw new MqttViolation('MQTT-3.3.1-2', 'PUBLISH at QoS 0 has the DUP flag')
  const topicStart = start + 2
  const topicEnd = topicStart + uint16(buffer, start, end)
  if (topicEnd > end) throw truncated()
  const topic = topics.read(buffer, topicStart, topicEnd)
  let packetId = 0
  let payloadStart = topicEnd
  if (qos !== 0) {
    packetId = uint16(buffer, topicEnd, end)
    payloadStart += 2
    if (packetId === 0) throw zeroPacketId()
  }
  const payload = buffer.subarray(payloadStart, end)
  return { type: 'publish', topic, payload, qos, retain: (first & 1) !== 0, dup, packetId }
}

function parseConnect(fields: Fields): ConnectPacket | UnsupportedConnect {
  const name = fields.text()
  if (name !== 'MQTT' && name !== 'MQIsdp') throw new MqttViolation('MQTT-3.1.2-1', 'The protocol name is not MQTT')
  const level = fields.byte()
  // The level alone decides [MQTT-3.1.2-2]: what follows belongs to another version.
  if (name !== 'MQTT' || level !== 4) return { type: 'unsupported-connect', level }
  const flags = fields.byte()
  assertConnectFlags(flags)
  const keepAlive = fields.uint16()
  const clientId = fields.text()
  const will = (flags & 0x04) === 0 ? null : parseWill(flags, fields)
  const userName = (flags & 0x80) === 0 ? null : fields.text()
  const password = (flags & 0x40) === 0 ? null : fields.bytes()
  return { type: 'connect', clientId, cleanSession: (flags & 0x02) !== 0, keepAlive, userName, password, will }
}

function assertConnectFlags(flags: number): void {
  if ((flags & 0x01) !== 0) throw new MqttViolation('MQTT-3.1.2-3', 'The reserved flag of CONNECT is set')
  const willQoS = (flags >> 3) & 3
  if ((flags & 0x04) === 0) {
    if (willQoS !== 0) throw new MqttViolation('MQTT-3.1.2-13', 'CONNECT has a will QoS but no will')
    if ((flags & 0x20) !== 0) throw new MqttViolation('MQTT-3.1.2-15', 'CONNECT has a will retain flag but no will')
  }
  if ((flags & 0x80) === 0 && (flags & 0x40) !== 0) {
    throw new MqttViolation('MQTT-3.1.2-22', 'CONNECT has a password but no user name')
  }
}

function parseWill(flags: number, fields: Fields): Will {
  const topic = fields.text()
  assertTopicName(topic)
  return { topic, payload: fields.bytes(), qos: qosOf(flags >> 3, 'MQTT-3.1.2-14'), retain: (flags & 0x20) !== 0 }
}

function parseSubscribe(fields: Fields): SubscribePacket {
  const packetId = fields.packetId()
  const subscriptions: { filter: string; qos: QoS }[] = []
  if (fields.done) throw new MqttViolation('MQTT-3.8.3-3', 'SUBSCRIBE holds no filter')
  while (!fields.done) {
    const filter = fields.text()
    assertTopicFilter(filter)
    const options = fields.byte()
    if (options > 3) throw new MqttViolation('MQTT-3.8.3-4', 'Reserved bits of a requested QoS are set')
    subscriptions.push({ filter, qos: qosOf(options, 'MQTT-3.8.3-4') })
    assertFilterCount(subscriptions.length)
  }
  return { type: 'subscribe', packetId, subscriptions }
}

/** The QoS in the lowest two bits. */
function qosOf(bits: number, statement: string): QoS {
  switch (bits & 3) {
    case 0:
      return 0
    case 1:
      return 1
    case 2:
      return 2
    default:
      throw new MqttViolation(statement, 'Both QoS bits are set')
  }
}

function parseFilters(fields: Fields): readonly string[] {
  const filters: string[] = []
  if (fields.done) throw new MqttViolation('MQTT-3.10.3-2', 'UNSUBSCRIBE holds no filter')
  while (!fields.done) {
    const filter = fields.text()
    assertTopicFilter(filter)
    filters.push(filter)
    assertFilterCount(filters.length)
  }
  return filters
}

function assertFilterCount(count: number): void {
  if (count > MAX_FILTERS) throw new MqttViolation('MQTT-3.1.1 §4.8', `More than ${MAX_FILTERS} filters in one packet`)
}

/** Reads the fields of one packet in order and never past its end. */
class Fields {
  readonly #buffer: Buffer
  readonly #end: number
  #at: number

  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer
    this.#at = start
    this.#end = end
  }

  get done(): boolean {
    return this.#at === this.#end
  }

  byte(): number {
    if (this.#at >= this.#end) throw truncated()
    return this.#buffer[this.#at++] ?? 0
  }

  uint16(): number {
    const value = uint16(this.#buffer, this.#at, this.#end)
    this.#at += 2
    return value
  }

  packetId(): number {
    const id = this.uint16()
    if (id === 0) throw zeroPacketId()
    return id
  }

  text(): string {
    const [start, end] = this.#field()
    return readText(this.#buffer, start, end)
  }

  bytes(): Buffer {
    const [start, end] = this.#field()
    return this.#buffer.subarray(start, end)
  }

  assertDone(): void {
    if (!this.done) throw new MqttViolation('MQTT-3.1.1 §2.2.3', 'A packet is longer than its fields')
  }

  #field(): [start: number, end: number] {
    const length = this.uint16()
    const start = this.#at
    if (start + length > this.#end) throw truncated()
    this.#at = start + length
    return [start, this.#at]
  }
}

function uint16(buffer: Buffer, at: number, end: number): number {
  if (at + 2 > end) throw truncated()
  return ((buffer[at] ?? 0) << 8) | (buffer[at + 1] ?? 0)
}

function truncated(): MqttViolation {
  return new MqttViolation('MQTT-3.1.1 §2.2.3', 'A packet is shorter than its fields')
}

function zeroPacketId(): MqttViolation {
  return new MqttViolation('MQTT-2.3.1-1', 'The packet identifier is 0')
}
