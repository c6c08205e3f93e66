import { contextConstructed, contextPrimitive, Tag } from './der.ts'
import { encodeOid } from './oid.ts'

/**
 * DER (X.690 §10, §11): each function returns one complete element, tag, minimal length and content. Writing what has
 * exactly one encoding leaves nothing to configure.
 */

function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const content of contents) length += content.length
  const header = lengthHeader(tag, length)
  const out = Buffer.allocUnsafe(header.length + length)
  out.set(header, 0)
  let at = header.length
  for (const content of contents) {
    out.set(content, at)
    at += content.length
  }
  return out
}

function lengthHeader(tag: number, length: number): number[] {
  if (length < 0x80) return [tag, length]
  const bytes: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return [tag, 0x80 | bytes.length, ...bytes]
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return element(Tag.sequence, ...parts)
}

/** SET OF: DER orders the members by their encodings (X.690 §11.6). */
export function setOf(...members: readonly Uint8Array[]): Buffer {
  return element(Tag.set, ...members.toSorted((a, b) => Buffer.compare(a, b)))
}

/** A non-negative integer, given as a number, a bigint or its big-endian magnitude. */
export function integer(value: number | bigint | Uint8Array): Buffer {
  return element(Tag.integer, magnitude(value))
}

export function enumerated(value: number): Buffer {
  return element(Tag.enumerated, magnitude(value))
}

function magnitude(value: number | bigint | Uint8Array): Uint8Array {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new RangeError(`${value} is not an integer`)
  }
  const bytes = value instanceof Uint8Array ? value : bigintBytes(BigInt(value))
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1
  const trimmed = bytes.subarray(start)
  const first = trimmed[0]
  if (first === undefined) return Uint8Array.of(0)
  return first & 0x80 ? Buffer.concat([Uint8Array.of(0), trimmed]) : trimmed
}

function bigintBytes(value: bigint): Uint8Array {
  if (value < 0n) throw new RangeError('negative integers do not occur in what is written here')
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
}

/** DER writes TRUE as 0xff; FALSE is nearly always a DEFAULT and then must be left out (X.690 §11.1, §11.5). */
export function booleanTrue(): Buffer {
  return element(Tag.boolean, Uint8Array.of(0xff))
}

export function nullValue(): Buffer {
  return element(Tag.null)
}

const oidCache = new Map<string, Buffer>()
/** All object identifiers of the code base fit; a caller that feeds strangers' identifiers only loses the cache. */
const OID_CACHE_LIMIT = 256

/** An object identifier from its dotted form, such as `2.5.4.3`. */
export function oid(dotted: string): Buffer {
  const known = oidCache.get(dotted)
  if (known) return known
  const encoded = element(Tag.oid, encodeOid(dotted))
  if (oidCache.size < OID_CACHE_LIMIT) oidCache.set(dotted, encoded)
  return encoded
}

export function octetString(bytes: Uint8Array): Buffer {
  return element(Tag.octetString, bytes)
}

/** A BIT STRING of whole octets: keys and signatures. */
export function bitString(bytes: Uint8Array): Buffer {
  return element(Tag.bitString, Uint8Array.of(0), bytes)
}

/** A named bit list such as KeyUsage, given as the set bit numbers; DER drops trailing zero bits (X.690 §11.2.2). */
export function namedBits(...bits: readonly number[]): Buffer {
  const highest = Math.max(-1, ...bits)
  const bytes = new Uint8Array(Math.floor(highest / 8) + 1)
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7))
  const unused = highest < 0 ? 0 : 7 - (highest & 7)
  return element(Tag.bitString, Uint8Array.of(unused), bytes)
}

export function utf8String(text: string): Buffer {
  if (!text.isWellFormed()) throw new RangeError('the text holds a lone surrogate')
  return element(Tag.utf8String, Buffer.from(text, 'utf8'))
}

export function bmpString(text: string): Buffer {
  return element(Tag.bmpString, Buffer.from(text, 'utf16le').swap16())
}

/** Printable ASCII only: IA5String admits control characters, which have no place in a name. */
export function ascii(text: string): Buffer {
  if (!/^[\x20-\x7e]*$/.test(text)) throw new RangeError('only printable ASCII is allowed here')
  return Buffer.from(text, 'latin1')
}

const YEAR_2050 = Date.UTC(2050, 0, 1)
const YEAR_1950 = Date.UTC(1950, 0, 1)
const YEAR_10000 = Date.UTC(10_000, 0, 1)

/**
 * RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050, always with seconds, in GMT, without fractions.
 * `ms` is milliseconds since the epoch; the fraction of a second is cut off.
 */
export function time(ms: number): Buffer {
  if (!(ms >= YEAR_1950 && ms < YEAR_10000)) throw new RangeError('a certificate can hold the years 1950 to 9999')
  const digits = new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')
  return ms < YEAR_2050
    ? element(Tag.utcTime, ascii(`${digits.slice(2)}Z`))
    : element(Tag.generalizedTime, ascii(`${digits}Z`))
}

/** [number] EXPLICIT: the tag wraps the whole element. */
export function explicit(number: number, ...parts: readonly Uint8Array[]): Buffer {
  return element(contextConstructed(number), ...parts)
}

/** [number] IMPLICIT over a primitive type: the tag replaces the element's own, `content` is without header. */
export function implicit(number: number, content: Uint8Array): Buffer {
  return element(contextPrimitive(number), content)
}
