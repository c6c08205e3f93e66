/** Code of the descriptor of each message section that we write (AMQP 1.0 §3.2). */
export const SECTION = {
  deliveryAnnotations: 0x71,
  messageAnnotations: 0x72,
  properties: 0x73,
  applicationProperties: 0x74,
  data: 0x75,
} as const

/** Frame header, and a transfer (§2.7.5) of handle, delivery-id, delivery-tag, message-format 0 and settled. */
const TRANSFER = Buffer.from('0000000002000000005314c0130570000000007000000000a004000000004341', 'hex')

const NOTHING = Buffer.alloc(0)

/** Writes AMQP 1.0 values (§1.6) and frames into one growing buffer; the compact encodings are chosen where they fit. */
export class Encoder {
  readonly #initialBytes: number
  #bytes: Buffer = NOTHING
  #at = 0

  constructor(initialBytes: number) {
    this.#initialBytes = initialBytes
  }

  /** Bytes written since the last `take`. */
  get length(): number {
    return this.#at
  }

  /** Gives away what was written; the next value goes into a new buffer. */
  take(): Buffer {
    const bytes = this.#bytes.subarray(0, this.#at)
    this.#bytes = NOTHING
    this.#at = 0
    return bytes
  }

  /** Forgets what was written after `length` was this. */
  rewind(length: number): void {
    this.#at = length
  }

  /** Starts a frame (§2.3) that is a settled transfer of one message, which is to follow; give the result to `endFrame`. */
  beginTransfer(channel: number, handle: number, deliveryId: number): number {
    this.#reserve(TRANSFER.length)
    const start = this.#at
    this.#bytes.set(TRANSFER, start)
    this.#bytes.writeUInt16BE(channel, start + 6)
    this.#bytes.writeUInt32BE(handle, start + 15)
    this.#bytes.writeUInt32BE(deliveryId, start + 20)
    this.#bytes.writeUInt32BE(deliveryId, start + 26)
    this.#at += TRANSFER.length
    return start
  }

  endFrame(start: number): void {
    this.#bytes.writeUInt32BE(this.#at - start, start)
  }

  section(code: number): void {
    this.#reserve(3)
    this.#bytes[this.#at++] = 0x00
    this.#bytes[this.#at++] = 0x53
    this.#bytes[this.#at++] = code
  }

  /** Starts a map or list with its size left open; give the result to `endCompound`. */
  begin(kind: 'map' | 'list'): number {
    this.#reserve(9)
    this.#bytes[this.#at] = kind === 'map' ? 0xd1 : 0xd0
    this.#at += 9
    return this.#at
  }

  /** `count`: items of the list, or keys and values of the map. */
  end(start: number, count: number): void {
    this.#bytes.writeUInt32BE(this.#at - start + 4, start - 8)
    this.#bytes.writeUInt32BE(count, start - 4)
  }

  null(): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = 0x40
  }

  string(text: string): void {
    this.#text(0xa1, 0xb1, text)
  }

  symbol(text: string): void {
    this.#text(0xa3, 0xb3, text)
  }

  binary(bytes: Uint8Array): void {
    this.#reserve(bytes.length + 5)
    this.#length(0xa0, 0xb0, bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** `value` is a safe integer. */
  long(value: number): void {
    if (value >= -128 && value <= 127) {
      this.#reserve(2)
      this.#bytes[this.#at++] = 0x55
      this.#at = this.#bytes.writeInt8(value, this.#at)
    } else this.#int64(0x81, value)
  }

  /** `value` is ms since the epoch. */
  timestamp(value: number): void {
    this.#int64(0x83, value)
  }

  #int64(code: number, value: number): void {
    this.#reserve(9)
    this.#bytes[this.#at++] = code
    const high = Math.floor(value / 0x1_0000_0000)
    this.#at = this.#bytes.writeInt32BE(high, this.#at)
    this.#at = this.#bytes.writeUInt32BE(value - high * 0x1_0000_0000, this.#at)
  }

  #text(short: number, long: number, text: string): void {
    // UTF-8 takes at most three bytes for each UTF-16 unit.
    this.#reserve(text.length * 3 + 5)
    if (text.length <= 85) {
      const written = this.#bytes.write(text, this.#at + 2, 'utf8')
      this.#bytes[this.#at] = short
      this.#bytes[this.#at + 1] = written
      this.#at += 2 + written
    } else {
      this.#length(short, long, Buffer.byteLength(text))
      this.#at += this.#bytes.write(text, this.#at, 'utf8')
    }
  }

  #length(short: number, long: number, length: number): void {
    if (length <= 0xff) {
      this.#bytes[this.#at++] = short
      this.#bytes[this.#at++] = length
    } else {
      this.#bytes[this.#at++] = long
      this.#at = this.#bytes.writeUInt32BE(length, this.#at)
    }
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    // Not from Node's pool: what is taken is given away whole.
    const bigger = Buffer.allocUnsafeSlow(Math.max(this.#initialBytes, this.#bytes.length * 2, this.#at + bytes))
    this.#bytes.copy(bigger, 0, 0, this.#at)
    this.#bytes = bigger
  }
}
