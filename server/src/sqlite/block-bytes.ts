import { HubError } from '../errors.ts'

/** Above this length a native copy beats a loop over the characters. */
const SHORT_TEXT = 24

/**
 * Appends numbers, texts and bytes to a growing buffer.
 *
 * A text is stored as V8 holds it, one or two bytes a code unit, told apart by the lowest bit of its length: that is
 * exact for every string, lone surrogates too, and needs no transcoding.
 */
export class ByteWriter {
  #bytes: Buffer<ArrayBuffer>
  #length = 0

  constructor(capacity: number) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
  }

  get length(): number {
    return this.#length
  }

  /** What was written, as the beginning of a buffer of its own that can be transferred to another thread. */
  get written(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#bytes.buffer, 0, this.#length)
  }

  truncate(length: number): void {
    this.#length = Math.min(length, this.#length)
  }

  /** LEB128; `value` is an integer from 0 to 2^31 - 1. */
  number(value: number): void {
    this.#reserve(5)
    let rest = value
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#bytes[this.#length++] = rest
  }

  bytes(value: Uint8Array): void {
    this.number(value.length)
    this.#reserve(value.length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
  }

  text(value: string): void {
    if (value.length > SHORT_TEXT || !this.#shortText(value)) this.#longText(value)
  }

  #shortText(value: string): boolean {
    this.#reserve(1 + value.length)
    const start = this.#length
    // A length of at most SHORT_TEXT fits the one byte.
    this.#bytes[start] = value.length << 1
    for (let index = 0; index < value.length; index++) {
      const unit = value.charCodeAt(index)
      if (unit > 0xff) return false
      this.#bytes[start + 1 + index] = unit
    }
    this.#length = start + 1 + value.length
    return true
  }

  #longText(value: string): void {
    const wide = /[^\u0000-\u00ff]/.test(value)
    this.number((value.length << 1) | (wide ? 1 : 0))
    this.#reserve(value.length * 2)
    this.#length += this.#bytes.write(value, this.#length, wide ? 'utf16le' : 'latin1')
  }

  #reserve(count: number): void {
    const needed = this.#length + count
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }
}

/** Reads what a `ByteWriter` wrote; anything else is refused. */
export class ByteReader {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get offset(): number {
    return this.#offset
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  number(): number {
    let value = 0
    for (let shift = 0; shift <= 28; shift += 7) {
      const byte = this.#bytes[this.#offset++]
      if (byte === undefined) throw damaged('a number is cut off')
      value += (byte & 0x7f) * 2 ** shift
      if (byte <= 0x7f) {
        if (byte === 0 && shift > 0) throw damaged('a number is not in its shortest form')
        if (value > 0x7fffffff) break
        return value
      }
    }
    throw damaged('a number is too large')
  }

  /** A view into the block, not a copy. */
  bytes(): Uint8Array {
    const start = this.#take(this.number())
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, this.#offset - start)
  }

  text(): string {
    const header = this.number()
    const length = header >>> 1
    if ((header & 1) === 0) {
      const start = this.#take(length)
      return this.#bytes.toString('latin1', start, this.#offset)
    }
    const start = this.#take(length * 2)
    return this.#bytes.toString('utf16le', start, this.#offset)
  }

  #take(count: number): number {
    if (count > this.remaining) throw damaged('a field is cut off')
    const start = this.#offset
    this.#offset += count
    return start
  }
}

export function damaged(what: string): HubError {
  return new HubError('internal', `A block of the telemetry log is damaged: ${what}.`)
}
