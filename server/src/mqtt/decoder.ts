import type { ClientPacket } from './packets.ts'
import { assertFirstByte, parsePacket } from './parse.ts'
import { TopicReader } from './text.ts'
import { MqttViolation } from './violation.ts'

const EMPTY = Buffer.alloc(0)
const FIRST_CAPACITY = 1024

/**
 * Cuts a byte stream into MQTT packets. Whole packets are parsed where they lie in the received chunk; one that is
 * split over chunks is gathered in a buffer that grows with the bytes really received, never with those announced, and
 * a packet over the limit is refused as soon as its length is known.
 */
export class Decoder {
  /** Largest packet accepted, fixed header included; may be raised between packets. */
  maxPacketBytes: number
  readonly #topics = new TopicReader()
  #chunk: Buffer = EMPTY
  #at = 0
  #gathered: Buffer | null = null
  #filled = 0
  /** Of the packet at hand, once `#readHeader` has returned true: where its body starts and how long it is in all. */
  #headerBytes = 0
  #packetBytes = 0

  constructor(maxPacketBytes: number) {
    this.maxPacketBytes = maxPacketBytes
  }

  /** Adds received bytes; call `next()` until it returns null. */
  write(chunk: Buffer): void {
    this.#chunk = this.#at < this.#chunk.length ? Buffer.concat([this.#chunk.subarray(this.#at), chunk]) : chunk
    this.#at = 0
  }

  /**
   * The next whole packet, or null when more bytes are needed.
   * @throws MqttViolation after which the stream cannot be read any further.
   */
  next(): ClientPacket | null {
    if (this.#gathered !== null) return this.#nextGathered(this.#gathered)
    const chunk = this.#chunk
    const start = this.#at
    if (
      start < chunk.length &&
      this.#readHeader(chunk, start, chunk.length) &&
      start + this.#packetBytes <= chunk.length
    ) {
      this.#at = start + this.#packetBytes
      return parsePacket(chunk[start] ?? 0, chunk, start + this.#headerBytes, this.#at, this.#topics)
    }
    if (start < chunk.length) this.#gather()
    this.#chunk = EMPTY
    this.#at = 0
    return null
  }

  #nextGathered(gathered: Buffer): ClientPacket | null {
    while (!this.#readHeader(gathered, 0, this.#filled)) {
      if (this.#take(1) === 0) return null
    }
    this.#take(this.#packetBytes - this.#filled)
    if (this.#filled < this.#packetBytes) return null
    const packet = this.#gathered ?? gathered
    this.#gathered = null
    this.#filled = 0
    return parsePacket(packet[0] ?? 0, packet, this.#headerBytes, this.#packetBytes, this.#topics)
  }

  /** Moves the rest of the chunk into a buffer of our own, which outlives it. */
  #gather(): void {
    // What cannot become a packet need not be waited for.
    assertFirstByte(this.#chunk[this.#at] ?? 0)
    this.#gathered = Buffer.allocUnsafe(FIRST_CAPACITY)
    this.#take(this.#chunk.length - this.#at)
  }

  /** Moves at most `wanted` bytes from the chunk to the gathered packet; returns how many there were. */
  #take(wanted: number): number {
    const count = Math.min(wanted, this.#chunk.length - this.#at)
    if (count <= 0) return 0
    let gathered: Buffer = this.#gathered ?? EMPTY
    if (this.#filled + count > gathered.length) {
      const larger = Buffer.allocUnsafe(Math.max(gathered.length * 2, this.#filled + count))
      gathered.copy(larger, 0, 0, this.#filled)
      this.#gathered = gathered = larger
    }
    this.#chunk.copy(gathered, this.#filled, this.#at, this.#at + count)
    this.#filled += count
    this.#at += count
    return count
  }

  /** Reads the fixed header (MQTT 3.1.1 §2.2) at `start`; false while it is incomplete. */
  #readHeader(buffer: Buffer, start: number, end: number): boolean {
    let remaining = 0
    let at = start + 1
    for (let shift = 0; at < end; shift += 7, at += 1) {
      const byte = buffer[at] ?? 0
      remaining |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.#headerBytes = at + 1 - start
        this.#packetBytes = this.#headerBytes + remaining
        if (this.#packetBytes > this.maxPacketBytes) {
          throw new PacketTooLarge(this.#packetBytes, this.maxPacketBytes)
        }
        return true
      }
      if (shift === 21) throw new MqttViolation('MQTT-3.1.1 §2.2.3', 'The remaining length takes more than four bytes')
    }
    return false
  }
}

export class PacketTooLarge extends MqttViolation {
  constructor(bytes: number, limit: number) {
    super('MQTT-3.1.1 §2.2.3', `A packet of ${bytes} bytes is over the limit of ${limit}`)
  }
}
