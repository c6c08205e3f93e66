import { malformed } from './violation.ts'

/** Deepest nesting that any real performative or message needs is 6 (attach → source → filter → described value). */
const MAX_DEPTH = 16
/** Elements of an array whose constructor takes no bytes (null, true, uint0…): the only way to claim items for free. */
const MAX_FREE_ELEMENTS = 1024

/** Bytes of a fixed-width value by constructor (AMQP 1.0 §1.6); absent codes are not AMQP 1.0. */
const FIXED_WIDTH: ReadonlyMap<number, number> = new Map([
  ...[0x40, 0x41, 0x42, 0x43, 0x44, 0x45].map((code) => [code, 0] as const),
  ...[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56].map((code) => [code, 1] as const),
  ...[0x60, 0x61].map((code) => [code, 2] as const),
  ...[0x70, 0x71, 0x72, 0x73, 0x74].map((code) => [code, 4] as const),
  ...[0x80, 0x81, 0x82, 0x83, 0x84].map((code) => [code, 8] as const),
  ...[0x94, 0x98].map((code) => [code, 16] as const),
])
/** Width of the length prefix of binaries, strings and symbols. */
const VARIABLE_WIDTH: ReadonlyMap<number, 1 | 4> = new Map([
  ...[0xa0, 0xa1, 0xa3].map((code) => [code, 1] as const),
  ...[0xb0, 0xb1, 0xb3].map((code) => [code, 4] as const),
])

export const isMapCode = (code: number | undefined): boolean => code === 0xc1 || code === 0xd1
export const isListCode = (code: number | undefined): boolean => code === 0x45 || code === 0xc0 || code === 0xd0
export const isBinaryCode = (code: number | undefined): boolean => code === 0xa0 || code === 0xb0

/**
 * Walks one encoded value without building it and returns the offset behind it. Every size must be exact, every count
 * must be paid for with bytes and nesting is bounded, so that what passes here can be decoded in linear time and space.
 * Throws AmqpViolation otherwise.
 */
export function scanValue(bytes: Buffer, at: number, end: number, depth = 0): number {
  if (depth > MAX_DEPTH) throw malformed(`more than ${MAX_DEPTH} levels of nesting`)
  const code = byteAt(bytes, at, end)
  if (code === 0x00) {
    const described = scanValue(bytes, at + 1, end, depth + 1)
    return scanValue(bytes, described, end, depth + 1)
  }
  return scanBody(bytes, code, at + 1, end, depth)
}

/** Scans what follows the constructor `code`. */
function scanBody(bytes: Buffer, code: number, at: number, end: number, depth: number): number {
  const fixed = FIXED_WIDTH.get(code)
  if (fixed !== undefined) return within(at + fixed, end)
  const variable = VARIABLE_WIDTH.get(code)
  if (variable !== undefined) return within(at + variable + lengthAt(bytes, at, variable, end), end)
  switch (code) {
    case 0xc0:
    case 0xd0:
    case 0xc1:
    case 0xd1:
      return scanItems(bytes, code, at, end, depth)
    case 0xe0:
    case 0xf0:
      return scanArray(bytes, code === 0xe0 ? 1 : 4, at, end, depth)
    default:
      throw malformed(`unknown type code 0x${code.toString(16)}`)
  }
}

function scanItems(bytes: Buffer, code: number, at: number, end: number, depth: number): number {
  const width = code < 0xd0 ? 1 : 4
  const stop = within(at + width + lengthAt(bytes, at, width, end), end)
  const count = lengthAt(bytes, at + width, width, stop)
  if (isMapCode(code) && count % 2 === 1) throw malformed('a map with an odd number of items')
  let next = at + 2 * width
  for (let item = 0; item < count; item++) next = scanValue(bytes, next, stop, depth + 1)
  if (next !== stop) throw malformed('a list or map whose size does not match its items')
  return stop
}

function scanArray(bytes: Buffer, width: 1 | 4, at: number, end: number, depth: number): number {
  const stop = within(at + width + lengthAt(bytes, at, width, end), end)
  const count = lengthAt(bytes, at + width, width, stop)
  let next = at + 2 * width
  let code = byteAt(bytes, next, stop)
  if (code === 0x00) {
    next = scanValue(bytes, next + 1, stop, depth + 1)
    code = byteAt(bytes, next, stop)
  }
  next++
  if (FIXED_WIDTH.get(code) === 0 && count > MAX_FREE_ELEMENTS) throw malformed('an array of too many empty elements')
  for (let element = 0; element < count; element++) next = scanBody(bytes, code, next, stop, depth + 1)
  if (next !== stop) throw malformed('an array whose size does not match its elements')
  return stop
}

function lengthAt(bytes: Buffer, at: number, width: 1 | 4, end: number): number {
  within(at + width, end)
  return width === 1 ? bytes.readUInt8(at) : bytes.readUInt32BE(at)
}

function byteAt(bytes: Buffer, at: number, end: number): number {
  within(at + 1, end)
  return bytes.readUInt8(at)
}

function within(offset: number, end: number): number {
  if (offset > end) throw malformed('a value that runs past its end')
  return offset
}
