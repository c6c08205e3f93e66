import {
  ATTACH,
  BEGIN,
  CLOSE,
  descriptorCode,
  DETACH,
  DISPOSITION,
  END,
  FLOW,
  OPEN,
  readPerformative,
  TRANSFER,
} from './performative.ts'
import type { Performative } from './performative.ts'
import { isBinaryCode, isListCode, isMapCode, scanValue } from './value-scan.ts'
import { AmqpViolation, malformed } from './violation.ts'

/** What one connection may use; announced to the peer where AMQP has a field for it. */
export interface AmqpLimits {
  /** Bytes of one frame, both for what we accept and what we announce in open. */
  readonly frameBytes: number
  /** Sessions of a connection: channels 0 to `sessions - 1`. */
  readonly sessions: number
  /** Links of a connection, over all its sessions. */
  readonly links: number
  /** Bytes of one incoming message, over all its transfer frames. */
  readonly messageBytes: number
}

interface Link {
  readonly name: string
  readonly peerSends: boolean
  /** Fragments of a delivery that is not complete yet; together at most `messageBytes`. */
  fragments: Buffer[]
  bytes: number
  format: number
}

/** AMQP 1.0 §2.7.1: no peer may ask for less. */
const SMALLEST_MAX_FRAME = 512
/** A shorter time-out would only make us send empty frames all day. */
const SHORTEST_IDLE_MS = 1_000
/** Deliveries that one disposition may cover: more than any session window of ours. */
const MAX_DISPOSITION_SPAN = 4_096

/**
 * Stands before the AMQP engine and lets only well-formed frames within the limits pass. The engine trusts sizes,
 * counts, ids and ranges that it is given; everything that a hostile peer could do to it with them ends here.
 */
export class FrameGuard {
  readonly #limits: AmqpLimits
  readonly #creditOf: (channel: number, handle: number) => number
  readonly #channels = new Map<number, Map<number, Link>>()
  #links = 0
  /** Bytes of deliveries that are not complete, over all links. */
  #partial = 0
  #opened = false
  #closed = false

  /** `creditOf` tells how many deliveries the engine still expects on a link. */
  constructor(limits: AmqpLimits, creditOf: (channel: number, handle: number) => number) {
    this.#limits = limits
    this.#creditOf = creditOf
  }

  /** Throws AmqpViolation when the frame must not reach the engine; false: the peer has closed, drop it silently. */
  admit(frame: Buffer): boolean {
    const bodyAt = frameBodyAt(frame, 0x00)
    if (this.#closed) return false
    if (bodyAt === frame.length) return true
    const performative = readPerformative(frame, bodyAt)
    const channel = frame.readUInt16BE(6)
    if (performative.code !== TRANSFER && performative.payloadAt !== frame.length)
      throw malformed('bytes behind a performative')
    this.#check(performative, channel, frame)
    return true
  }

  #check(performative: Performative, channel: number, frame: Buffer): void {
    if (!this.#opened && performative.code !== OPEN) throw illegal('open must come first')
    switch (performative.code) {
      case OPEN:
        return this.#open(performative)
      case BEGIN:
        return this.#begin(performative, channel)
      case ATTACH:
        return this.#attach(performative, this.#session(channel))
      case FLOW:
        return this.#flow(performative, this.#session(channel))
      case TRANSFER:
        return this.#transfer(performative, channel, frame)
      case DISPOSITION:
        return this.#disposition(performative, channel)
      case DETACH:
        return this.#detach(performative, this.#session(channel))
      case END:
        return this.#end(channel)
      case CLOSE:
        this.#closed = true
        return
      default:
        throw illegal('a SASL frame after the SASL layer')
    }
  }

  #open({ numbers }: Performative): void {
    if (this.#opened) throw illegal('a second open')
    if ((numbers['max-frame-size'] ?? SMALLEST_MAX_FRAME) < SMALLEST_MAX_FRAME)
      throw new AmqpViolation('amqp:invalid-field', `max-frame-size must be at least ${SMALLEST_MAX_FRAME}`)
    const idle = numbers['idle-time-out'] ?? 0
    if (idle !== 0 && idle < SHORTEST_IDLE_MS)
      throw new AmqpViolation('amqp:invalid-field', `idle-time-out must be at least ${SHORTEST_IDLE_MS} ms`)
    this.#opened = true
  }

  #begin({ numbers }: Performative, channel: number): void {
    if (channel >= this.#limits.sessions)
      throw new AmqpViolation(
        'amqp:resource-limit-exceeded',
        `at most ${this.#limits.sessions} sessions per connection`,
      )
    if (this.#channels.has(channel)) throw illegal('begin on a channel in use')
    if (numbers['remote-channel'] !== undefined) throw illegal('begin answers a session that this server never begins')
    this.#channels.set(channel, new Map())
  }

  #attach({ numbers, booleans, texts }: Performative, links: Map<number, Link>): void {
    const handle = numbers['handle'] ?? 0
    if (handle >= this.#limits.links || this.#links >= this.#limits.links)
      throw new AmqpViolation('amqp:resource-limit-exceeded', `at most ${this.#limits.links} links per connection`)
    if (links.has(handle)) throw new AmqpViolation('amqp:session:handle-in-use', 'attach with a handle in use')
    const name = texts['name'] ?? ''
    // The engine finds links by name alone, in a plain object: AMQP lets the two directions share one, no client does.
    if (name in Object.prototype || [...links.values()].some((link) => link.name === name))
      throw new AmqpViolation('amqp:not-allowed', 'attach with a link name in use')
    links.set(handle, { name, peerSends: booleans['role'] === false, fragments: [], bytes: 0, format: 0 })
    this.#links++
  }

  #flow({ numbers }: Performative, links: Map<number, Link>): void {
    const handle = numbers['handle']
    if (handle === undefined) return
    const link = attached(links, handle)
    if (!link.peerSends && numbers['link-credit'] === undefined) throw illegal('a flow of a link without link-credit')
  }

  #disposition({ numbers }: Performative, channel: number): void {
    this.#session(channel)
    const first = numbers['first'] ?? 0
    const last = numbers['last'] ?? first
    if (last < first || last - first >= MAX_DISPOSITION_SPAN) throw illegal('a disposition over an impossible range')
  }

  #detach({ numbers }: Performative, links: Map<number, Link>): void {
    const handle = numbers['handle'] ?? 0
    this.#drop(attached(links, handle))
    links.delete(handle)
    this.#links--
  }

  #end(channel: number): void {
    const links = this.#session(channel)
    for (const link of links.values()) this.#drop(link)
    this.#links -= links.size
    this.#channels.delete(channel)
  }

  #transfer({ numbers, booleans, payloadAt }: Performative, channel: number, frame: Buffer): void {
    const handle = numbers['handle'] ?? 0
    const link = attached(this.#session(channel), handle)
    if (!link.peerSends) throw illegal('a transfer on a receiving link')
    if (booleans['aborted'] === true) throw new AmqpViolation('amqp:not-implemented', 'aborted deliveries')
    if (link.fragments.length === 0) {
      const format = numbers['message-format']
      if (numbers['delivery-id'] === undefined || format === undefined)
        throw illegal('a delivery without its id or message format')
      if (this.#creditOf(channel, handle) <= 0)
        throw new AmqpViolation('amqp:link:transfer-limit-exceeded', 'a transfer without credit')
      link.format = format
    }
    link.fragments.push(frame.subarray(payloadAt))
    link.bytes += frame.length - payloadAt
    this.#partial += frame.length - payloadAt
    const { messageBytes } = this.#limits
    if (link.bytes > messageBytes || this.#partial > 4 * messageBytes || link.fragments.length > messageBytes / 64 + 1)
      throw new AmqpViolation('amqp:link:message-size-exceeded', `a message may have ${messageBytes} bytes`)
    if (booleans['more'] !== true) this.#complete(link)
  }

  #complete(link: Link): void {
    const { fragments, bytes, format } = link
    this.#drop(link)
    if (format === 0) checkMessage(Buffer.concat(fragments, bytes))
  }

  #drop(link: Link): void {
    this.#partial -= link.bytes
    link.fragments = []
    link.bytes = 0
  }

  #session(channel: number): Map<number, Link> {
    const session = this.#channels.get(channel)
    if (session === undefined) throw illegal('a frame on a channel without a session')
    return session
  }
}

/** Checks the frame header (AMQP 1.0 §2.3.1) and returns where the body starts. The size was checked when it was cut. */
export function frameBodyAt(frame: Buffer, type: 0x00 | 0x01): number {
  const bodyAt = frame.readUInt8(4) * 4
  if (bodyAt < 8 || bodyAt > frame.length) throw framing('a wrong data offset')
  if (frame[5] !== type) throw framing(`a frame of type ${frame[5]}`)
  return bodyAt
}

/** A message is a run of described sections (AMQP 1.0 §3.2), each of the type its descriptor says. */
function checkMessage(message: Buffer): void {
  let at = 0
  while (at < message.length) {
    const next = scanValue(message, at, message.length)
    const section = message[at] === 0x00 ? descriptorCode(message, at + 1) : null
    const code = message[section === null ? at : scanValue(message, at + 1, message.length)]
    if (section === null || !isSection(section, code)) throw malformed('a message section of an unknown kind')
    at = next
  }
}

function isSection(section: number, code: number | undefined): boolean {
  switch (section) {
    case 0x70: // header
    case 0x73: // properties
    case 0x76: // amqp-sequence
      return isListCode(code)
    case 0x71: // delivery-annotations
    case 0x72: // message-annotations
    case 0x74: // application-properties
    case 0x78: // footer
      return isMapCode(code)
    case 0x75: // data
      return isBinaryCode(code)
    default:
      return section === 0x77 // amqp-value
  }
}

function attached(links: Map<number, Link>, handle: number): Link {
  const link = links.get(handle)
  if (link === undefined)
    throw new AmqpViolation('amqp:session:unattached-handle', 'a frame for a link that is not attached')
  return link
}

function illegal(what: string): AmqpViolation {
  return new AmqpViolation('amqp:illegal-state', `Not allowed here: ${what}`)
}

function framing(what: string): AmqpViolation {
  return new AmqpViolation('amqp:connection:framing-error', `Broken framing: ${what}`)
}
