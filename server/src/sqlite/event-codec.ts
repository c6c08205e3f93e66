import type { DeviceId, HubName } from '../model/ids.ts'
import type { HubEvent, MessageProperties } from '../model/message.ts'
import { ByteReader, ByteWriter, damaged } from './block-bytes.ts'

/**
 * Format of a block, version 1: the version byte, then events one after another. A text that tends to repeat (ids,
 * authentication, property names) is a reference: 0 and the text for the first time, afterwards 1 + its place in the
 * order of first appearance. An event is
 *
 *     flags                    2 bits source, then one bit each: has module id, has model id, a third bit of the source
 *     device id, generation id, authentication method      references; no device is the empty text
 *     module id, model id                                  references, as flagged
 *     property set             one bit for each property, see PROPERTY_BITS
 *     property values          texts, in the order of the bits
 *     count of application properties, then each: name (reference), value (text)
 *     body                     bytes
 *
 * The hub, the partition, the first sequence, the count and the time of a block stand beside it in its row.
 */
const VERSION = 1

/** Order is part of the format. */
const SOURCES = [
  'Telemetry',
  'deviceConnectionStateEvents',
  'deviceLifecycleEvents',
  'twinChangeEvents',
  'holdfastSecurityEvents',
] as const
const HAS_MODULE = 4
const HAS_MODEL = 8
const MAX_FLAGS = 31

/** Bit of each property in the property set: part of the format; a new one goes to the end. */
const PROPERTY_BITS = {
  messageId: 0,
  correlationId: 1,
  userId: 2,
  to: 3,
  contentType: 4,
  contentEncoding: 5,
  expiry: 6,
  creationTime: 7,
  messageSchema: 8,
  interfaceId: 9,
  subject: 10,
  outputName: 11,
  ack: 12,
} as const satisfies Record<keyof MessageProperties, number>

const PROPERTIES = Object.keys(PROPERTY_BITS) as readonly (keyof MessageProperties)[]

/** Encodes events of one hub and partition into a block. */
export class BlockWriter {
  readonly #out: ByteWriter
  readonly #texts = new Map<string, number>()
  #count = 0

  constructor(capacity: number) {
    this.#out = new ByteWriter(capacity)
    this.#out.number(VERSION)
  }

  get count(): number {
    return this.#count
  }

  get length(): number {
    return this.#out.length
  }

  /** The block so far, as the beginning of a buffer of its own. */
  get written(): Uint8Array<ArrayBuffer> {
    return this.#out.written
  }

  /** Adds the event whole, or throws and leaves the block as it was. */
  add(event: HubEvent): void {
    const length = this.#out.length
    const known = this.#texts.size
    try {
      this.#event(event)
      this.#count += 1
    } catch (error) {
      this.#out.truncate(length)
      for (const [text, place] of this.#texts) if (place > known) this.#texts.delete(text)
      throw error
    }
  }

  #event(event: HubEvent): void {
    const { moduleId, modelId } = event
    const flags = (moduleId === null ? 0 : HAS_MODULE) | (modelId === null ? 0 : HAS_MODEL)
    this.#out.number(sourceCode(event.source) | flags)
    this.#reference(event.deviceId ?? '')
    this.#reference(event.generationId)
    this.#reference(event.authMethod)
    if (moduleId !== null) this.#reference(moduleId)
    if (modelId !== null) this.#reference(modelId)
    this.#properties(event.properties)
    this.#application(event.application)
    this.#out.bytes(event.body)
  }

  #properties(properties: MessageProperties): void {
    let set = 0
    for (const name of PROPERTIES) if (properties[name] !== undefined) set |= 1 << PROPERTY_BITS[name]
    this.#out.number(set)
    if (set === 0) return
    for (const name of PROPERTIES) {
      const value = properties[name]
      if (value !== undefined) this.#out.text(value)
    }
  }

  #application(application: Readonly<Record<string, string>>): void {
    const names = Object.keys(application)
    this.#out.number(names.length)
    for (const name of names) {
      this.#reference(name)
      this.#out.text(application[name] as string)
    }
  }

  #reference(text: string): void {
    const place = this.#texts.get(text)
    if (place !== undefined) {
      this.#out.number(place)
      return
    }
    this.#out.number(0)
    this.#out.text(text)
    this.#texts.set(text, this.#texts.size + 1)
  }
}

export interface DecodedBlock {
  readonly events: readonly HubEvent[]
  /** `sizes[n]` is the number of bytes that event n takes in the block. */
  readonly sizes: Uint32Array
}

/**
 * Decodes a block of exactly `count` events. Bodies are views into `bytes`. Throws HubError `internal` for anything
 * that `BlockWriter` does not write.
 */
export function decodeBlock(bytes: Uint8Array, hub: HubName, count: number): DecodedBlock {
  // The smallest event takes eight bytes, so that a damaged count cannot ask for memory.
  if (count < 1 || count > bytes.length / 8 + 1) throw damaged(`it cannot hold ${count} events`)
  const input = new ByteReader(bytes)
  const version = input.number()
  if (version !== VERSION) throw damaged(`its format ${version} is unknown to this release`)
  const texts: string[] = []
  const events: HubEvent[] = []
  const sizes = new Uint32Array(count)
  for (let index = 0; index < count; index++) {
    const start = input.offset
    events.push(readEvent(input, hub, texts))
    sizes[index] = input.offset - start
  }
  if (input.remaining > 0) throw damaged(`${input.remaining} bytes follow its last event`)
  return { events, sizes }
}

function readEvent(input: ByteReader, hub: HubName, texts: string[]): HubEvent {
  const flags = input.number()
  const source = SOURCES[(flags & 3) | ((flags >> 2) & 4)]
  if (source === undefined || flags > MAX_FLAGS) throw damaged('unknown flags')
  // What was written was a device id or nothing.
  const deviceId = (readReference(input, texts) || null) as DeviceId | null
  const generationId = readReference(input, texts)
  const authMethod = readReference(input, texts)
  const moduleId = (flags & HAS_MODULE) === 0 ? null : readReference(input, texts)
  const modelId = (flags & HAS_MODEL) === 0 ? null : readReference(input, texts)
  const properties = readProperties(input)
  const application = readApplication(input, texts)
  const body = input.bytes()
  return { hub, deviceId, moduleId, generationId, authMethod, source, modelId, properties, application, body }
}

function readProperties(input: ByteReader): MessageProperties {
  const set = input.number()
  if (set >>> PROPERTIES.length !== 0) throw damaged('unknown properties')
  const properties: { -readonly [Name in keyof MessageProperties]: MessageProperties[Name] } = {}
  if (set === 0) return properties
  for (const name of PROPERTIES) if ((set & (1 << PROPERTY_BITS[name])) !== 0) properties[name] = input.text()
  return properties
}

function readApplication(input: ByteReader, texts: string[]): Record<string, string> {
  const count = input.number()
  const application: Record<string, string> = {}
  for (let index = 0; index < count; index++) {
    const name = readReference(input, texts)
    const value = input.text()
    // A device may name a property so; assigning it would set the prototype.
    if (name === '__proto__') {
      Object.defineProperty(application, name, { value, enumerable: true, configurable: true, writable: true })
    } else application[name] = value
  }
  return application
}

function readReference(input: ByteReader, texts: string[]): string {
  const place = input.number()
  if (place === 0) {
    const text = input.text()
    texts.push(text)
    return text
  }
  const text = texts[place - 1]
  if (text === undefined) throw damaged('a reference leads nowhere')
  return text
}

function sourceCode(source: HubEvent['source']): number {
  const code = SOURCES.indexOf(source)
  if (code < 0) throw new TypeError(`Unknown source of an event: ${source}`)
  return (code & 3) | ((code & 4) << 2)
}
