import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import { bareHost } from '../hubs.ts'

/** Tokens of the SDKs have 150 to 400 characters. */
const MAX_TOKEN_LENGTH = 4_096
const SIGNATURE_LENGTH = 32
const PREFIX = 'SharedAccessSignature '

/** `SharedAccessSignature sr=…&sig=…&se=…[&skn=…]`, taken apart and not yet believed. */
export interface SasToken {
  /** `sr` and `se` exactly as they stand in the token: what was signed. */
  readonly signedText: string
  readonly signature: Uint8Array
  readonly resource: SasResource
  /** ms since the epoch: the token is dead at and after it. */
  readonly expiresAt: number
  /** `skn` decoded; null when absent or empty. */
  readonly policy: string | null
}

export interface SasResource {
  /** Lower case, without port. */
  readonly host: string
  /** Decoded path segments below the host, in their own case. */
  readonly segments: readonly string[]
  /** Decoded text as a whole, for messages. */
  readonly text: string
}

/** Says what is wrong with a token; holds no part of it that could be secret. */
export class SasTokenError extends Error {
  override readonly name = 'SasTokenError'
}

/** Takes a token apart. Throws SasTokenError when it is not one. */
export function parseSasToken(text: string): SasToken {
  if (text.length > MAX_TOKEN_LENGTH)
    throw new SasTokenError(`The token is longer than ${MAX_TOKEN_LENGTH} characters.`)
  if (!text.startsWith(PREFIX)) throw new SasTokenError('The token does not start with "SharedAccessSignature ".')
  const fields = parseFields(text.slice(PREFIX.length).trim())
  const resource = required(fields, 'sr')
  const expiry = required(fields, 'se')
  if (!/^\d{1,12}$/.test(expiry)) throw new SasTokenError('The expiry (se) of the token is not a number of seconds.')
  const policy = decode(fields.get('skn') ?? '', 'skn')
  return {
    signedText: `${resource}\n${expiry}`,
    signature: parseSignature(required(fields, 'sig')),
    resource: parseResource(decode(resource, 'sr')),
    expiresAt: Number(expiry) * 1_000,
    policy: policy === '' ? null : policy,
  }
}

function parseFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const part of text.split('&', 16)) {
    const equals = part.indexOf('=')
    if (equals < 1) throw new SasTokenError('The token has a part that is not name=value.')
    const name = part.slice(0, equals)
    // Two values of one name could be read one way here and another way elsewhere.
    if (fields.has(name)) throw new SasTokenError('The token has a part more than once.')
    fields.set(name, part.slice(equals + 1))
  }
  return fields
}

function required(fields: ReadonlyMap<string, string>, name: string): string {
  const value = fields.get(name)
  if (!value) throw new SasTokenError(`The token has no ${name}.`)
  return value
}

/** Percent-decoding alone: a `+` that an old client left unescaped in the signature stays one. */
function decode(text: string, name: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new SasTokenError(`The ${name} of the token is not percent-encoded UTF-8.`, { cause })
  }
}

function parseSignature(encoded: string): Uint8Array {
  const text = decode(encoded, 'sig')
  const signature = Buffer.from(text, 'base64')
  // Encoded again, so that one signature has one spelling; the padding alone may be missing.
  const canonical = signature.toString('base64')
  if (signature.length !== SIGNATURE_LENGTH || (text !== canonical && `${text}=` !== canonical))
    throw new SasTokenError('The signature (sig) of the token is not the base64 of 32 bytes.')
  return signature
}

/** Reads `host[:port]/a/b`, with or without a scheme such as `sb://`. */
export function parseResource(text: string): SasResource {
  const [host = '', ...segments] = text.replace(/^[a-z]{1,8}:\/\//i, '').split('/')
  // A final slash names the same resource; an inner empty segment names nothing and stays.
  if (segments.at(-1) === '') segments.pop()
  return { host: bareHost(host), segments, text }
}

/**
 * Does a grant for `granted` reach `wanted`? By whole segments: `devices/a` covers `devices/a/x` and not `devices/ab`.
 * A granted segment may still be percent-encoded once more, as by clients that encode the id and then the whole.
 */
export function coversPath(granted: readonly string[], wanted: readonly string[], ids: 'exact' | 'any-case'): boolean {
  return granted.length <= wanted.length && granted.every((segment, index) => sameSegment(segment, wanted[index], ids))
}

function sameSegment(granted: string, wanted: string | undefined, ids: 'exact' | 'any-case'): boolean {
  if (wanted === undefined) return false
  if (granted === wanted) return true
  if (ids === 'any-case' && granted.toLowerCase() === wanted.toLowerCase()) return true
  return granted.includes('%') && decodesTo(granted, wanted)
}

/** Letters, digits, - . _ and ~ escaped: no encoder does that (RFC 3986 §2.3), so such a text is the id itself. */
const NEEDLESS_ESCAPE = /%(?:2[de]|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f|7e)/i

function decodesTo(encoded: string, text: string): boolean {
  try {
    return !NEEDLESS_ESCAPE.test(encoded) && decodeURIComponent(encoded) === text
  } catch {
    // A stray percent sign: the segment is not encoded, and was compared as it stands.
    return false
  }
}

/** IoT: the key is the base64-decoded text. Event Hubs: the key is the UTF-8 text itself. */
export type SasKeyRule = 'iot' | 'event-hubs'

/** The key of these that the token was signed with, or null. Every key is tried, and compared in constant time. */
export function signingKeyOf(token: SasToken, keys: readonly string[], rule: SasKeyRule): string | null {
  let signer: string | null = null
  for (const key of keys) {
    const bytes = Buffer.from(key, rule === 'iot' ? 'base64' : 'utf8')
    // An unset key signs nothing.
    if (bytes.length === 0) continue
    const expected = createHmac('sha256', createSecretKey(bytes)).update(token.signedText, 'utf8').digest()
    if (timingSafeEqual(expected, token.signature)) signer = key
  }
  return signer
}
