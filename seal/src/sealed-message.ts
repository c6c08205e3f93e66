import { createHash } from 'node:crypto'
import type { Certificate, PathVerifier } from '@holdfast/pki'
import { parseCertificate, ParseError } from '@holdfast/pki'
import type { CoseAlgorithm } from './algorithms.ts'
import { algorithmById, algorithmOf, derSignature } from './algorithms.ts'
import type { Cbor, CborMap } from './cbor.ts'
import { decodeCbor, encodeCbor, Tagged } from './cbor.ts'
import { CborError } from './cbor-error.ts'
import { Claim, CONTENT_IS_ENCRYPTED, CoseTag, Header, SHA_256 } from './labels.ts'
import type { SealError } from './seal-error.ts'
import { isSealError, sealError } from './seal-error.ts'

/** The hub takes 256 KiB; a file of a consumer is no larger. */
const MAX_BYTES = 256 * 1024
/** As many certificates, and bytes of them, as a TLS peer may show. */
const MAX_CHAIN = 10
const MAX_CHAIN_BYTES = 16 * 1024
const MAX_DEVICE_ID = 128
const MAX_CONTENT_TYPE = 256

/** What the device says about itself and its message, under its signature. */
export interface SealClaims {
  readonly device: string
  /** Grows with each message of the device. */
  readonly counter: number
  /** ms since the epoch, in whole seconds; null when the device has no clock. */
  readonly time: number | null
  /** Of the payload as it stands here: null when it is encrypted or not said. */
  readonly contentType: string | null
  readonly isEncrypted: boolean
}

interface Parts {
  readonly claims: SealClaims
  readonly algorithm: CoseAlgorithm
  /** SHA-256 of the signer's certificate. */
  readonly thumbprint: Uint8Array
  readonly chain: readonly Certificate[]
  readonly protectedBytes: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
}

/** A sealed message as read: nothing about it has been verified. See verifySealed. */
export class SealedMessage implements Parts {
  readonly claims: SealClaims
  readonly algorithm: CoseAlgorithm
  readonly thumbprint: Uint8Array
  /** As sent in x5chain, signer first; may be empty. */
  readonly chain: readonly Certificate[]
  readonly protectedBytes: Uint8Array
  /** In the clear, or a COSE_Encrypt when the claims say so. */
  readonly payload: Uint8Array
  readonly signature: Uint8Array

  constructor(parts: Parts) {
    this.claims = parts.claims
    this.algorithm = parts.algorithm
    this.thumbprint = parts.thumbprint
    this.chain = parts.chain
    this.protectedBytes = parts.protectedBytes
    this.payload = parts.payload
    this.signature = parts.signature
  }

  /** The signer's certificate, from the message or from those that are known already. */
  signerAmong(known: readonly Certificate[]): Certificate | SealError {
    const candidates = this.chain.length > 0 ? this.chain.slice(0, 1) : known
    const thumbprint = Buffer.from(this.thumbprint).toString('hex')
    const signer = candidates.find(({ sha256 }) => sha256 === thumbprint)
    if (signer !== undefined) return signer
    if (this.chain.length > 0)
      return sealError('certificate-mismatch', 'The first certificate in x5chain is not the one that x5t names.')
    return sealError('certificate-missing', `The certificate with SHA-256 ${thumbprint} is neither sent nor known.`)
  }

  /** Does the key of this certificate account for the signature? Says nothing about whom the certificate speaks for. */
  isSignedBy(signer: Certificate, { signatures }: PathVerifier): boolean {
    if (algorithmOf(signer) !== this.algorithm || signer.allowsKeyUsage('digitalSignature') === false) return false
    const signature = derSignature(this.signature, this.algorithm)
    if (signature === undefined) return false
    const tbs = signedBytes(this.protectedBytes, this.payload)
    return signatures.verify({ tbs, signatureAlgorithm: this.algorithm.scheme, signature }, signer)
  }
}

/** Sig_structure (RFC 9052 §4.4), without external data. */
export function signedBytes(protectedBytes: Uint8Array, payload: Uint8Array): Uint8Array {
  return encodeCbor(['Signature1', protectedBytes, new Uint8Array(), payload])
}

/** Reads a COSE_Sign1 of the sealed profile, strictly. */
export function readSealed(bytes: Uint8Array): SealedMessage | SealError {
  if (bytes[0] !== TAG_BYTE) return sealError('not-sealed', 'The payload does not begin as a COSE_Sign1 does (0xd2).')
  if (bytes.length > MAX_BYTES) return malformed(`it has ${bytes.length} bytes, more than ${MAX_BYTES}`)
  try {
    return readSign1(bytes)
  } catch (error) {
    if (error instanceof CborError || error instanceof ParseError) return malformed(error.message)
    throw error
  }
}

/** Tag 18 in its one-byte form (RFC 9052 §4.2). */
const TAG_BYTE = 0xc0 | CoseTag.sign1

function readSign1(bytes: Uint8Array): SealedMessage | SealError {
  const message = decodeCbor(bytes)
  const body = message instanceof Tagged && message.tag === CoseTag.sign1 ? message.value : null
  if (!Array.isArray(body) || body.length !== 4) return malformed('it is no array of four')
  const [protectedBytes, unprotected, payload, signature] = body as Cbor[]
  if (!isBytes(protectedBytes) || !isBytes(payload) || !isBytes(signature) || !(unprotected instanceof Map))
    return malformed('its parts are not bytes, map, bytes, bytes')
  const headers = decodeCbor(protectedBytes)
  if (!(headers instanceof Map)) return malformed('its protected header is no map')
  const wrong = headerFault(headers, unprotected)
  if (wrong !== null) return malformed(wrong)
  const read = readProtected(headers)
  if (isSealError(read)) return read
  const chain = readChain(unprotected.get(Header.x5chain) ?? headers.get(Header.x5chain))
  if (chain === null) return malformed('x5chain is not one certificate, or two to ten, of 16 kB at most')
  return new SealedMessage({ ...read, chain, protectedBytes, payload, signature })
}

/** What decides must be signed, and nothing may be asked for that is not understood here (RFC 9052 §3.1). */
function headerFault(headers: CborMap, unprotected: CborMap): string | null {
  if (headers.has(Header.critical)) return 'it marks header parameters as critical, and none is known here'
  for (const label of [...SIGNED, Header.critical])
    if (unprotected.has(label)) return `header parameter ${label} is outside of the signature`
  for (const label of unprotected.keys()) if (headers.has(label)) return `header parameter ${label} is there twice`
  return null
}

const SIGNED = [Header.algorithm, Header.contentType, Header.cwtClaims, Header.x5t, Header.counter]

function readProtected(headers: CborMap): Pick<Parts, 'claims' | 'algorithm' | 'thumbprint'> | SealError {
  const id = headers.get(Header.algorithm)
  const algorithm = typeof id === 'number' ? algorithmById(id) : undefined
  if (algorithm === undefined)
    return sealError('unsupported-algorithm', `The signature algorithm ${shown(id)} is not one of this profile.`)
  const thumbprint = readThumbprint(headers.get(Header.x5t))
  if (thumbprint === null) return malformed('x5t is not [-16, 32 bytes]')
  const counter = headers.get(Header.counter)
  if (typeof counter !== 'number' || counter < 0) return malformed('the counter (-65537) is no unsigned integer')
  const said = readClaims(headers.get(Header.cwtClaims))
  if (said === null) return malformed('the claims (15) do not hold a device id (2), or the time (6) is no integer')
  const contentType = headers.get(Header.contentType) ?? null
  const isEncrypted = contentType === CONTENT_IS_ENCRYPTED
  if (!isEncrypted && !isContentType(contentType)) return malformed('the content type is neither 96 nor a text')
  const claims = { ...said, counter, contentType: isEncrypted ? null : (contentType as string | null), isEncrypted }
  return { claims, algorithm, thumbprint }
}

export function isContentType(value: Cbor): boolean {
  return value === null || (typeof value === 'string' && value.length <= MAX_CONTENT_TYPE)
}

function readThumbprint(value: Cbor | undefined): Uint8Array | null {
  if (!Array.isArray(value) || value.length !== 2 || value[0] !== SHA_256) return null
  const digest: Cbor = value[1]
  return isBytes(digest) && digest.length === 32 ? digest : null
}

function readClaims(value: Cbor | undefined): Pick<SealClaims, 'device' | 'time'> | null {
  if (!(value instanceof Map)) return null
  const claims: CborMap = value
  const device = claims.get(Claim.subject)
  const seconds = claims.get(Claim.issuedAt) ?? null
  if (typeof device !== 'string' || device === '' || device.length > MAX_DEVICE_ID) return null
  if (seconds === null) return { device, time: null }
  return typeof seconds === 'number' && Math.abs(seconds) <= MAX_SECONDS ? { device, time: seconds * 1000 } : null
}

/** The end of the year 9999. */
const MAX_SECONDS = 253_402_300_799

/** RFC 9360 §2: one certificate as bytes, several as an array. */
function readChain(value: Cbor | undefined): Certificate[] | null {
  if (value === undefined) return []
  const ders: readonly Cbor[] = Array.isArray(value) ? value : [value]
  if (ders.length > MAX_CHAIN || (Array.isArray(value) && ders.length < 2) || !ders.every(isBytes)) return null
  if (ders.reduce((sum, der) => sum + der.length, 0) > MAX_CHAIN_BYTES) return null
  return ders.map(parseCertificate)
}

function isBytes(value: Cbor | undefined): value is Uint8Array {
  return value instanceof Uint8Array
}

/** Identity of a message, for telling a repetition from another message with the same counter. */
export function sealDigest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url')
}

function shown(value: Cbor | undefined): string {
  return typeof value === 'number' ? String(value) : 'that it names'
}

function malformed(reason: string): SealError {
  return sealError('malformed', `The sealed message cannot be read: ${reason}.`)
}
