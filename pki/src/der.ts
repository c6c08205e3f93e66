import { decodeOid } from './oid.ts'
import { ParseError } from './parse-error.ts'

/**
 * A strict reader of DER (X.690 §10 and §11). BER's freedoms are refused: indefinite and non-minimal lengths, padded
 * integers, booleans other than 00 and FF, set padding bits. What is read here is hashed, compared and signed, so one
 * value must have one encoding.
 */

/** Identifier octets (X.680 §8.6). Universal types X.509 uses; the constructed bit is part of the value. */
export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const

/** [n] IMPLICIT of a primitive type. */
export const contextPrimitive = (n: number): number => 0x80 | n
/** [n] EXPLICIT, or IMPLICIT of a constructed type. */
export const contextConstructed = (n: number): number => 0xa0 | n

/** X.509 nests about 12 deep at most (a name inside a distribution point of a signed CRL); 32 leaves room. */
const MAX_DEPTH = 32
/** Nothing read here (the largest: a CRL of a million entries) is bigger; larger claims are attacks or mistakes. */
const MAX_BYTES = 64 * 1024 * 1024

/** One element: where it lies in the source, and how to read its content. Nothing is copied until asked for. */
export class DerValue {
  readonly source: Buffer
  readonly tag: number
  /** Offset of the identifier octet. */
  readonly start: number
  readonly contentStart: number
  readonly end: number
  readonly depth: number

  constructor(source: Buffer, tag: number, start: number, contentStart: number, end: number, depth: number) {
    this.source = source
    this.tag = tag
    this.start = start
    this.contentStart = contentStart
    this.end = end
    this.depth = depth
  }

  get length(): number {
    return this.end - this.contentStart
  }

  /** The whole element, as a view. */
  get der(): Buffer {
    return this.source.subarray(this.start, this.end)
  }

  /** The content octets, as a view. */
  get content(): Buffer {
    return this.source.subarray(this.contentStart, this.end)
  }

  /** A reader over the elements inside a constructed element. */
  reader(): DerReader {
    if ((this.tag & 0x20) === 0) this.fail('a constructed element was expected')
    return new DerReader(this.source, this.contentStart, this.end, this.depth + 1)
  }

  /** A reader over DER wrapped in this primitive element (an extension's OCTET STRING). */
  wrapped(): DerReader {
    return new DerReader(this.source, this.contentStart, this.end, this.depth + 1)
  }

  /** X.690 §11.1: TRUE is FF. */
  boolean(): boolean {
    const octet = this.source[this.contentStart]
    if (this.length !== 1 || (octet !== 0x00 && octet !== 0xff)) this.fail('malformed BOOLEAN')
    return octet === 0xff
  }

  /** Content octets of an INTEGER in its minimal two's complement form (X.690 §8.3.2). */
  integer(): Buffer {
    const { length } = this
    if (length === 0) this.fail('empty INTEGER')
    const first = this.source[this.contentStart] ?? 0
    const second = this.source[this.contentStart + 1] ?? 0
    if (length > 1 && ((first === 0x00 && second < 0x80) || (first === 0xff && second >= 0x80))) {
      this.fail('INTEGER with redundant leading octets')
    }
    return this.content
  }

  /** A non-negative INTEGER or ENUMERATED below 2^31. */
  smallInteger(): number {
    const octets = this.integer()
    if (octets.length > 4 || (octets[0] ?? 0) >= 0x80) this.fail('INTEGER out of range')
    return octets.readUIntBE(0, octets.length)
  }

  /** An OBJECT IDENTIFIER in dotted form. */
  oid(): string {
    return decodeOid(this.source, this.contentStart, this.end)
  }

  /** A BIT STRING that holds whole octets (keys and signatures). */
  octetsOfBitString(): Buffer {
    if (this.length === 0 || this.source[this.contentStart] !== 0) this.fail('BIT STRING of whole octets expected')
    return this.source.subarray(this.contentStart + 1, this.end)
  }

  /** A reader over DER wrapped in this BIT STRING (an RSA key). */
  wrappedInBitString(): DerReader {
    this.octetsOfBitString()
    return new DerReader(this.source, this.contentStart + 1, this.end, this.depth + 1)
  }

  /**
   * A named bit list of at most 32 bits; bit 0 of the list is bit 0 of the result. Trailing zero bits (X.690 §11.2.2)
   * are let pass: common CAs write them and they cannot be misread.
   */
  namedBits(): number {
    const unused = this.source[this.contentStart] ?? 8
    const octets = this.source.subarray(this.contentStart + 1, this.end)
    const last = octets.at(-1) ?? 0
    if (this.length === 0 || unused > 7 || octets.length > 4 || (octets.length === 0 && unused !== 0)) {
      this.fail('malformed BIT STRING')
    }
    if ((last & ((1 << unused) - 1)) !== 0) this.fail('BIT STRING with set padding bits')
    let bits = 0
    for (let i = 0; i < octets.length * 8; i++) {
      if (((octets[i >> 3] ?? 0) & (0x80 >> (i & 7))) !== 0) bits |= 1 << i
    }
    return bits
  }

  /** UTCTime or GeneralizedTime in the forms of RFC 5280 §4.1.2.5, as ms since the epoch. */
  time(): number {
    const text = this.source.toString('latin1', this.contentStart, this.end)
    if (this.tag === Tag.utcTime && /^\d{12}Z$/.test(text)) {
      const year = Number(text.slice(0, 2))
      return this.#instant(year >= 50 ? 1900 + year : 2000 + year, text.slice(2))
    }
    if (this.tag === Tag.generalizedTime && /^\d{14}Z$/.test(text)) {
      return this.#instant(Number(text.slice(0, 4)), text.slice(4))
    }
    return this.fail('malformed time')
  }

  #instant(year: number, rest: string): number {
    const field = (at: number): number => Number(rest.slice(at, at + 2))
    const [month, day, hour, minute, second] = [field(0), field(2), field(4), field(6), field(8)]
    // Date.UTC reads years 0–99 as 1900–1999; setUTCFullYear does not.
    const date = new Date(Date.UTC(2000, 0, 1, hour, minute, second))
    date.setUTCFullYear(year, month - 1, day)
    const real = date.getUTCMonth() === month - 1 && date.getUTCDate() === day
    if (!real || hour > 23 || minute > 59 || second > 59) this.fail('no such time')
    return date.getTime()
  }

  fail(reason: string): never {
    throw new ParseError(reason, this.start)
  }
}

/** Walks the elements of one level. */
export class DerReader {
  readonly source: Buffer
  readonly end: number
  readonly depth: number
  #position: number

  constructor(source: Buffer, start: number, end: number, depth: number) {
    if (depth > MAX_DEPTH) throw new ParseError(`nested deeper than ${MAX_DEPTH}`, start)
    this.source = source
    this.#position = start
    this.end = end
    this.depth = depth
  }

  /** A reader over `bytes`, which are not copied. `maxBytes` refuses larger input before a byte is looked at. */
  static over(bytes: Uint8Array, maxBytes = MAX_BYTES): DerReader {
    if (bytes.length > maxBytes) throw new ParseError(`${bytes.length} bytes exceed the limit of ${maxBytes}`, 0)
    const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return new DerReader(source, 0, source.length, 0)
  }

  get offset(): number {
    return this.#position
  }

  get atEnd(): boolean {
    return this.#position >= this.end
  }

  /** The next identifier octet, or -1 at the end. */
  peek(): number {
    return this.atEnd ? -1 : (this.source[this.#position] ?? -1)
  }

  readAny(): DerValue {
    const { source, end } = this
    const start = this.#position
    if (start + 2 > end) throw new ParseError('truncated element', start)
    const tag = source[start] ?? 0
    // X.509 has no tag number above 30, so the long form is never needed.
    if ((tag & 0x1f) === 0x1f) throw new ParseError('long-form tag', start)
    let length = source[start + 1] ?? 0
    let contentStart = start + 2
    if (length >= 0x80) {
      const octets = length & 0x7f
      // X.690 §10.1: definite and minimal.
      if (octets === 0 || octets > 4) throw new ParseError('indefinite or oversized length', start)
      if (contentStart + octets > end) throw new ParseError('truncated length', start)
      length = source.readUIntBE(contentStart, octets)
      if (length < 0x80 || (octets > 1 && source[contentStart] === 0)) {
        throw new ParseError('length is not minimal', start)
      }
      contentStart += octets
    }
    if (length > end - contentStart) throw new ParseError('element runs past its container', start)
    this.#position = contentStart + length
    return new DerValue(source, tag, start, contentStart, this.#position, this.depth)
  }

  read(tag: number): DerValue {
    const found = this.peek()
    if (found !== tag) {
      const seen = found < 0 ? 'the end' : `0x${found.toString(16)}`
      throw new ParseError(`tag 0x${tag.toString(16)} expected, ${seen} found`, this.#position)
    }
    return this.readAny()
  }

  readOptional(tag: number): DerValue | undefined {
    return this.peek() === tag ? this.readAny() : undefined
  }

  readSequence(): DerReader {
    return this.read(Tag.sequence).reader()
  }

  error(reason: string): ParseError {
    return new ParseError(reason, this.#position)
  }

  /** Every element must have been read: trailing data would be covered by a signature but understood by nobody. */
  finish(): void {
    if (!this.atEnd) throw new ParseError('unexpected data after the last element', this.#position)
  }
}
