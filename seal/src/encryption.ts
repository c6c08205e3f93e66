import type { KeyObject } from 'node:crypto'
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
} from 'node:crypto'
import { sameBytes } from '@holdfast/pki'
import type { Cbor, CborMap } from './cbor.ts'
import { decodeCbor, encodeCbor, Tagged } from './cbor.ts'
import { CborError } from './cbor-error.ts'
import { coseKey, keyAt, keyIdOf, pointOf } from './consumer-key.ts'
import { A256GCM, CoseTag, CURVE_P256, ECDH_ES_HKDF_256, EPHEMERAL_KEY, Header, Key, KEY_TYPE_EC2 } from './labels.ts'
import type { SealError } from './seal-error.ts'
import { sealError } from './seal-error.ts'
import { isContentType } from './sealed-message.ts'

const IV_BYTES = 12
const TAG_BYTES = 16

/** What must be fresh for each message; given only where test vectors are made. */
export interface Freshness {
  /** P-256. */
  readonly ephemeral: KeyObject
  readonly iv: Uint8Array
}

export interface Content {
  readonly payload: Uint8Array
  readonly contentType: string | null
}

/**
 * COSE_Encrypt (RFC 9052 §5.1) for one consumer: ECDH-ES + HKDF-256 (RFC 9053 §6.3.1) and A256GCM. `context` is
 * authenticated too: the protected header of the signature around it, so that the ciphertext is of use to no other signer.
 */
export function encryptFor(
  recipient: KeyObject,
  { payload, contentType }: Content,
  context: Uint8Array,
  { ephemeral, iv }: Freshness = fresh(),
): Uint8Array {
  const keyId = keyIdOf(pointOf(recipient))
  const headers = encodeCbor(
    new Map<number, Cbor>([
      [Header.algorithm, A256GCM],
      ...(contentType === null ? [] : ([[Header.contentType, contentType]] as const)),
    ]),
  )
  const key = contentKey(ephemeral, recipient, RECIPIENT_HEADERS)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(encStructure(headers, context))
  const ciphertext = Buffer.concat([cipher.update(payload), cipher.final(), cipher.getAuthTag()])
  const recipientHeaders = new Map<number, Cbor>([
    [EPHEMERAL_KEY, coseKey(pointOf(ephemeral))],
    [Header.keyId, keyId],
  ])
  const recipients = [[RECIPIENT_HEADERS, recipientHeaders, new Uint8Array()]]
  return encodeCbor(new Tagged(CoseTag.encrypt, [headers, new Map([[Header.iv, iv]]), ciphertext, recipients]))
}

function fresh(): Freshness {
  return { ephemeral: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, iv: randomBytes(IV_BYTES) }
}

const RECIPIENT_HEADERS = encodeCbor(new Map([[Header.algorithm, ECDH_ES_HKDF_256]]))

/** Opens what encryptFor made, under the same context. */
export function decryptWith(recipientKey: KeyObject, bytes: Uint8Array, context: Uint8Array): Content | SealError {
  const envelope = readEnvelope(bytes)
  if (typeof envelope === 'string') return sealError('malformed', `The encrypted payload cannot be read: ${envelope}.`)
  const { keyId } = envelope
  if (keyId !== null && !sameBytes(keyId, keyIdOf(pointOf(recipientKey))))
    return sealError('wrong-recipient', `The payload is for the key ${hex(keyId)}, and yours is another one.`)
  const key = contentKey(recipientKey, envelope.ephemeral, envelope.recipientHeaders)
  const { ciphertext, iv } = envelope
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
  decipher.setAAD(encStructure(envelope.headers, context))
  decipher.setAuthTag(ciphertext.subarray(-TAG_BYTES))
  try {
    const payload = Buffer.concat([decipher.update(ciphertext.subarray(0, -TAG_BYTES)), decipher.final()])
    return { payload, contentType: envelope.contentType }
  } catch {
    // AES-GCM says no more than that the tag does not fit.
    return sealError('decryption-failed', 'The payload does not open with this key under this signature.')
  }
}

/** Enc_structure (RFC 9052 §5.3). */
export function encStructure(headers: Uint8Array, context: Uint8Array): Uint8Array {
  return encodeCbor(['Encrypt', headers, context])
}

/** COSE_KDF_Context (RFC 9053 §5.2) of an A256GCM key; no party is named, since `context` names them. */
export function kdfContext(recipientHeaders: Uint8Array): Uint8Array {
  const nobody = [null, null, null]
  return encodeCbor([A256GCM, nobody, nobody, [256, recipientHeaders]])
}

/** RFC 9053 §5.1: HKDF without a salt. */
function contentKey(privateKey: KeyObject, publicKey: KeyObject, recipientHeaders: Uint8Array): KeyObject {
  const secret = createSecretKey(diffieHellman({ privateKey, publicKey }))
  const key = hkdfSync('sha256', secret, new Uint8Array(), kdfContext(recipientHeaders), 32)
  return createSecretKey(Buffer.from(key))
}

interface Envelope {
  readonly headers: Uint8Array
  readonly contentType: string | null
  readonly iv: Uint8Array
  readonly ciphertext: Uint8Array
  readonly recipientHeaders: Uint8Array
  readonly ephemeral: KeyObject
  readonly keyId: Uint8Array | null
}

function readEnvelope(bytes: Uint8Array): Envelope | string {
  try {
    return parseEnvelope(bytes)
  } catch (error) {
    if (error instanceof CborError) return error.message
    throw error
  }
}

function parseEnvelope(bytes: Uint8Array): Envelope | string {
  const message = decodeCbor(bytes)
  const body = message instanceof Tagged && message.tag === CoseTag.encrypt ? message.value : null
  if (!Array.isArray(body) || body.length !== 4) return 'it is no COSE_Encrypt with its tag'
  const [headers, unprotected, ciphertext, recipients] = body as Cbor[]
  if (!(headers instanceof Uint8Array) || !(unprotected instanceof Map) || !(ciphertext instanceof Uint8Array))
    return 'its parts are not bytes, map, bytes'
  const contentHeaders = headersOf(headers, unprotected, A256GCM)
  if (contentHeaders === null) return 'its algorithm is not A256GCM (3), or a header parameter is not understood'
  const contentType = contentHeaders.get(Header.contentType) ?? null
  if (!isContentType(contentType)) return 'its content type is no text'
  const iv: Cbor | undefined = unprotected.get(Header.iv)
  if (!(iv instanceof Uint8Array) || iv.length !== IV_BYTES) return 'its IV has not 12 bytes'
  if (ciphertext.length < TAG_BYTES) return 'its ciphertext is shorter than a tag'
  const recipient = readRecipient(recipients)
  if (typeof recipient === 'string') return recipient
  return { headers, contentType: contentType as string | null, iv, ciphertext, ...recipient }
}

function readRecipient(
  recipients: Cbor | undefined,
): Pick<Envelope, 'recipientHeaders' | 'ephemeral' | 'keyId'> | string {
  const only: Cbor | undefined = Array.isArray(recipients) && recipients.length === 1 ? recipients[0] : undefined
  if (!Array.isArray(only) || only.length !== 3) return 'it has not exactly one recipient'
  const [recipientHeaders, unprotected, encryptedKey] = only as Cbor[]
  if (!(recipientHeaders instanceof Uint8Array) || !(unprotected instanceof Map)) return 'its recipient is malformed'
  // RFC 9052 §8.5.4: with direct key agreement there is no key to carry.
  if (!(encryptedKey instanceof Uint8Array) || encryptedKey.length > 0) return 'its recipient carries a key'
  if (headersOf(recipientHeaders, unprotected, ECDH_ES_HKDF_256) === null)
    return 'the key agreement is not ECDH-ES + HKDF-256 (-25), or a header parameter is not understood'
  const ephemeral = readPoint(unprotected.get(EPHEMERAL_KEY))
  if (ephemeral === null) return 'its ephemeral key is no point on P-256 with both coordinates'
  const keyId: Cbor = unprotected.get(Header.keyId) ?? null
  if (keyId !== null && !(keyId instanceof Uint8Array)) return 'its key id is not bytes'
  return { recipientHeaders, ephemeral, keyId }
}

/** The protected header when it names that algorithm and asks for nothing unknown. */
function headersOf(bytes: Uint8Array, unprotected: CborMap, algorithm: number): CborMap | null {
  const headers = bytes.length === 0 ? null : decodeCbor(bytes)
  if (!(headers instanceof Map) || headers.get(Header.algorithm) !== algorithm) return null
  const isClean = !headers.has(Header.critical) && ![...unprotected.keys()].some((label) => headers.has(label))
  return isClean ? headers : null
}

function readPoint(value: Cbor | undefined): KeyObject | null {
  if (!(value instanceof Map) || value.get(Key.type) !== KEY_TYPE_EC2 || value.get(Key.curve) !== CURVE_P256)
    return null
  const key: CborMap = value
  const [x, y] = [key.get(Key.x), key.get(Key.y)]
  return x instanceof Uint8Array && y instanceof Uint8Array ? keyAt({ x, y }) : null
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, 32)).toString('hex')
}
