import { Buffer } from 'node:buffer'

/** Builds MQTT packets by hand, right or wrong, for tests that no well-behaved encoder would help with. */

export function packet(first: number, ...parts: (number[] | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([Buffer.from([first]), remainingLength(body.length), body])
}

export function remainingLength(length: number): Buffer {
  const bytes = []
  for (let rest = length; ; rest >>= 7) {
    bytes.push(rest > 127 ? (rest & 0x7f) | 0x80 : rest)
    if (rest <= 127) return Buffer.from(bytes)
  }
}

export function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

export interface ConnectFields {
  readonly clientId?: string
  readonly userName?: string
  readonly password?: string | Buffer
  readonly keepAlive?: number
  readonly clean?: boolean
  readonly will?: { topic: string; payload: string | Buffer; qos?: number; retain?: boolean }
  /** Replaces the flags that follow from the other fields. */
  readonly flags?: number
  readonly name?: string
  readonly level?: number
}

export function connect(fields: ConnectFields): Buffer {
  const { clientId = 'dev1', userName, password, keepAlive = 60, clean = true, will } = fields
  const flags =
    (clean ? 0x02 : 0) |
    (will ? 0x04 | ((will.qos ?? 0) << 3) | (will.retain ? 0x20 : 0) : 0) |
    (userName === undefined ? 0 : 0x80) |
    (password === undefined ? 0 : 0x40)
  return packet(
    0x10,
    text(fields.name ?? 'MQTT'),
    [fields.level ?? 4, fields.flags ?? flags, keepAlive >> 8, keepAlive & 0xff],
    text(clientId),
    ...(will ? [text(will.topic), text(Buffer.from(will.payload as string))] : []),
    ...(userName === undefined ? [] : [text(userName)]),
    ...(password === undefined ? [] : [text(password)]),
  )
}

export function publish(
  topic: string | Buffer,
  payload: string | Buffer,
  options: { qos?: number; packetId?: number; retain?: boolean; dup?: boolean } = {},
): Buffer {
  const { qos = 0, packetId = 1 } = options
  const first = 0x30 | (options.dup ? 8 : 0) | (qos << 1) | (options.retain ? 1 : 0)
  const id = qos === 0 ? [] : [packetId >> 8, packetId & 0xff]
  return packet(first, text(topic), id, Buffer.from(payload as string))
}

export function subscribe(packetId: number, ...filters: [filter: string, qos: number][]): Buffer {
  const entries = filters.map(([filter, qos]) => Buffer.concat([text(filter), Buffer.from([qos])]))
  return packet(0x82, [packetId >> 8, packetId & 0xff], ...entries)
}
