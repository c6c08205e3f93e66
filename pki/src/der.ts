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

/** X.690 §8.1.2 and §10.2: of the universal types, SEQUENCE and SET are constructed and all others primitive; 0 is none. */
function isImpossibleTag(tag: number): boolean {
  if (tag >= 0x40) return false
  const isConstructed = (tag & 0x20) !== 0
  const isCollection = (tag | 0x20) === Tag.sequence || (tag | 0x20) === Tag.set
  return tag === 0 || isConstructed !== isCollection
}

/** 400 years of the Gregorian calendar are 146,097 days. */
const GREGORIAN_CYCLE_MS = 146_097 * 86_400_000
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** 0 for a month that does not exist. */
function daysInMonth(year: number, month: number): number {
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  return month === 2 && isLeap ? 29 : (DAYS[month - 1] ?? 0)
}

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
    this.checkBitString()
    const octets = this.source.subarray(this.contentStart + 1, this.end)
    if (octets.length > 4) this.fail('BIT STRING of more than 32 bits')
    let bits = 0
    for (let i = 0; i < octets.length * 8; i++) {
      if (((octets[i >> 3] ?? 0) & (0x80 >> (i & 7))) !== 0) bits |= 1 << i
    }
    return bits
  }

  /** A BIT STRING of any length: at most seven unused bits, none of them set (X.690 §8.6.2, §11.2.1). */
  checkBitString(): void {
    const unused = this.length === 0 ? 8 : (this.source[this.contentStart] ?? 8)
    if (unused > 7 || (unused > 0 && this.length === 1)) this.fail('malformed BIT STRING')
    if (((this.source[this.end - 1] ?? 0) & ((1 << unused) - 1)) !== 0) this.fail('BIT STRING with set padding bits')
  }

  /** UTCTime or GeneralizedTime in the forms of RFC 5280 §4.1.2.5, as ms since the epoch. */
  time(): number {
    const yearDigits = this.tag === Tag.utcTime ? 2 : this.tag === Tag.generalizedTime ? 4 : 0
    if (yearDigits === 0 || this.length !== yearDigits + 11 || this.source[this.end - 1] !== 0x5a) {
      this.fail('malformed time')
    }
    const rest = this.contentStart + yearDigits
    const low = this.#digits(rest - 2)
    const year = yearDigits === 4 ? this.#digits(this.contentStart) * 100 + low : low + (low >= 50 ? 1900 : 2000)
    const [month, day] = [this.#digits(rest), this.#digits(rest + 2)]
    const [hour, minute, second] = [this.#digits(rest + 4), this.#digits(rest + 6), this.#digits(rest + 8)]
    if (hour > 23 || minute > 59 || second > 59 || day < 1 || day > daysInMonth(year, month)) this.fail('no such time')
    const timeOfDay = ((hour * 60 + minute) * 60 + second) * 1000
    // Date.UTC takes the years 0–99 for 1900–1999; 400 years on, the calendar repeats.
    return (
      (year >= 100 ? Date.UTC(year, month - 1, day) : Date.UTC(year + 400, month - 1, day) - GREGORIAN_CYCLE_MS) +
      timeOfDay
    )
  }

  #digits(at: number): number {
    const tens = (this.source[at] ?? 0) - 0x30
    const ones = (this.source[at + 1] ?? 0) - 0x30
    if (tens < 0 || tens > 9 || ones < 0 || ones > 9) this.fail('malformed time')
    return tens * 10 + ones
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
    if (isImpossibleTag(tag)) throw new ParseError(`tag 0x${tag.toString(16)} does not exist in DER`, start)
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
