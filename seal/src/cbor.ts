import { CborError } from './cbor-error.ts'

/**
 * The part of CBOR (RFC 8949) that COSE needs: integers, byte and text strings, arrays, maps with integer or text keys,
 * tags, false, true and null. Written by the core deterministic rules (§4.2.1). Read strictly: definite lengths, the
 * shortest form of every number, no key twice, valid UTF-8, nothing after the end. The order of keys is free on reading,
 * since other libraries write them as they were given and a signature covers the bytes as they are.
 */
export type Cbor = number | string | boolean | null | Uint8Array | readonly Cbor[] | CborMap | Tagged
export type CborMap = ReadonlyMap<number | string, Cbor>

export class Tagged {
  readonly tag: number
  readonly value: Cbor

  constructor(tag: number, value: Cbor) {
    this.tag = tag
    this.value = value
  }
}

const Major = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 } as const

/** COSE needs four levels: tag, array, headers, a list of certificates. */
const MAX_DEPTH = 8
/** Items of one document, however they nest; a sealed message has about twenty. */
const MAX_ITEMS = 256

/** Reads exactly one item that fills the input. Byte strings are views of the input. Throws CborError. */
export function decodeCbor(bytes: Uint8Array): Cbor {
  const reader = new Reader(bytes)
  const value = reader.item(0)
  if (reader.offset !== bytes.length) throw new CborError('bytes follow the end of the item', reader.offset)
  return value
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #items = 0
  offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  item(depth: number): Cbor {
    if (depth > MAX_DEPTH) throw this.#error('nested too deeply')
    if (++this.#items > MAX_ITEMS) throw this.#error('too many items')
    const start = this.offset
    const first = this.#byte()
    const major = first >> 5
    if (major === Major.simple) return simpleValue(first & 0x1f, start)
    const argument = this.#argument(first & 0x1f, start)
    switch (major) {
      case Major.unsigned:
        return argument
      case Major.negative:
        return negative(argument, start)
      case Major.bytes:
        return this.#take(argument)
      case Major.text:
        return this.#text(argument)
      case Major.array:
        return this.#array(argument, depth)
      case Major.map:
        return this.#map(argument, depth)
      default:
        return new Tagged(argument, this.item(depth + 1))
    }
  }

  /** §3: the argument of an initial byte, in the shortest form that holds it (§4.2.1). */
  #argument(info: number, start: number): number {
    if (info < 24) return info
    if (info > 27) throw new CborError(info === 31 ? 'a length that is not given' : 'a reserved length', start)
    const size = 1 << (info - 24)
    if (this.#bytes.length - this.offset < size) throw this.#error('ends within a number')
    const value = this.#number(size)
    this.offset += size
    if (value > Number.MAX_SAFE_INTEGER) throw new CborError('a number beyond 2^53', start)
    if (value < SHORTER_HOLDS[size as keyof typeof SHORTER_HOLDS])
      throw new CborError('a number that is longer than needed', start)
    return value
  }

  #number(size: number): number {
    if (size === 1) return this.#view.getUint8(this.offset)
    if (size === 2) return this.#view.getUint16(this.offset)
    if (size === 4) return this.#view.getUint32(this.offset)
    return Number(this.#view.getBigUint64(this.offset))
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.offset) throw this.#error('ends within a string')
    this.offset += length
    return this.#bytes.subarray(this.offset - length, this.offset)
  }

  #text(length: number): string {
    const bytes = this.#take(length)
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch {
      throw this.#error('a text that is not UTF-8')
    }
  }

  #array(length: number, depth: number): Cbor[] {
    this.#demandRoom(length)
    return Array.from({ length }, () => this.item(depth + 1))
  }

  #map(length: number, depth: number): CborMap {
    this.#demandRoom(length * 2)
    const map = new Map<number | string, Cbor>()
    for (let left = length; left > 0; left--) {
      const start = this.offset
      const key = this.item(depth + 1)
      if (typeof key !== 'number' && typeof key !== 'string')
        throw new CborError('a key that is neither an integer nor a text', start)
      if (map.has(key)) throw new CborError('a key that is there twice', start)
      map.set(key, this.item(depth + 1))
    }
    return map
  }

  /** Each item takes a byte at least: a claimed length costs nothing before it is known to be possible. */
  #demandRoom(items: number): void {
    if (items > MAX_ITEMS) throw this.#error('too many items')
    if (items > this.#bytes.length - this.offset) throw this.#error('ends within an array or a map')
  }

  #byte(): number {
    const byte = this.#bytes[this.offset]
    if (byte === undefined) throw this.#error('ends too early')
    this.offset++
    return byte
  }

  #error(reason: string): CborError {
    return new CborError(reason, this.offset)
  }
}

/** The least value that an argument of so many bytes may hold. */
const SHORTER_HOLDS = { 1: 24, 2: 0x100, 4: 0x1_0000, 8: 0x1_0000_0000 }

function negative(argument: number, start: number): number {
  if (argument === Number.MAX_SAFE_INTEGER) throw new CborError('a number beyond 2^53', start)
  return -1 - argument
}

function simpleValue(info: number, start: number): boolean | null {
  if (info === 20) return false
  if (info === 21) return true
  if (info === 22) return null
  throw new CborError('a floating-point number or a simple value that COSE does not use', start)
}

/** The item's bytes by the core deterministic rules. Throws RangeError for a number that is no safe integer. */
export function encodeCbor(value: Cbor): Uint8Array {
  return Buffer.concat(partsOf(value))
}

function partsOf(value: Cbor): Uint8Array[] {
  if (value === null) return [Uint8Array.of(0xf6)]
  if (typeof value === 'boolean') return [Uint8Array.of(value ? 0xf5 : 0xf4)]
  if (typeof value === 'number') return [integer(value)]
  if (typeof value === 'string') {
    const text = Buffer.from(value, 'utf8')
    return [head(Major.text, text.length), text]
  }
  if (value instanceof Uint8Array) return [head(Major.bytes, value.length), value]
  if (value instanceof Tagged) return [head(Major.tag, value.tag), ...partsOf(value.value)]
  if (value instanceof Map) return mapParts(value)
  const items = value as readonly Cbor[]
  return [head(Major.array, items.length), ...items.flatMap(partsOf)]
}

/** §4.2.1: entries in the bytewise order of their encoded keys. */
function mapParts(map: CborMap): Uint8Array[] {
  const entries = [...map].map(([key, value]) => ({ key: encodeCbor(key), value }))
  entries.sort((a, b) => Buffer.compare(a.key, b.key))
  return [head(Major.map, map.size), ...entries.flatMap(({ key, value }) => [key, ...partsOf(value)])]
}

function integer(value: number): Uint8Array {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no integer below 2^53`)
  return value < 0 ? head(Major.negative, -1 - value) : head(Major.unsigned, value)
}

function head(major: number, argument: number): Uint8Array {
  const first = major << 5
  if (argument < 24) return Uint8Array.of(first | argument)
  if (argument < 0x100) return Uint8Array.of(first | 24, argument)
  const bytes = Buffer.alloc(argument < 0x1_0000 ? 3 : argument < 0x1_0000_0000 ? 5 : 9)
  if (bytes.length === 3) bytes.writeUInt16BE(argument, 1)
  else if (bytes.length === 5) bytes.writeUInt32BE(argument, 1)
  else bytes.writeBigUInt64BE(BigInt(argument), 1)
  bytes[0] = first | (bytes.length === 3 ? 25 : bytes.length === 5 ? 26 : 27)
  return bytes
}
