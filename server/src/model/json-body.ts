import { HubError } from '../errors.ts'
import type { JsonValue } from './twin.ts'

/** Twins may nest ten levels deep; a bulk of enrollments adds a handful around them. */
const MAX_JSON_DEPTH = 24

const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const QUOTE = 0x22
const BACKSLASH = 0x5c

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Parses a request body of untrusted JSON; an empty one is `undefined`. Rejects with `format-invalid`. */
export function parseJsonBody(bytes: Uint8Array): JsonValue | undefined {
  if (bytes.every(isBlank)) return undefined
  refuseDeepNesting(bytes)
  const text = decode(bytes)
  try {
    return JSON.parse(text, refusePrototype) as JsonValue
  } catch (cause) {
    if (cause instanceof HubError) throw cause
    throw new HubError('format-invalid', 'The request body is not valid JSON.', { cause })
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw new HubError('format-invalid', 'The request body is not valid UTF-8.', { cause })
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

/** A member named `__proto__` would change an object's prototype when it is copied by assignment. */
function refusePrototype(key: string, value: unknown): unknown {
  if (key === '__proto__') throw new HubError('format-invalid', "A JSON member may not be named '__proto__'.")
  return value
}

/** Counts brackets outside strings before anything is built; brackets that do not match are left to the parser. */
function refuseDeepNesting(bytes: Uint8Array): void {
  let depth = 0
  let inString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (inString) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--
    if (depth > MAX_JSON_DEPTH)
      throw new HubError('format-invalid', `The request body nests deeper than ${MAX_JSON_DEPTH} levels.`)
  }
}
