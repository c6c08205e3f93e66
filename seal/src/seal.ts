import type { KeyObject } from 'node:crypto'
import type { Certificate, Signer } from '@holdfast/pki'
import { sameBytes } from '@holdfast/pki'
import { algorithmOf, coseSignature } from './algorithms.ts'
import type { CoseAlgorithm } from './algorithms.ts'
import type { Cbor } from './cbor.ts'
import { encodeCbor, Tagged } from './cbor.ts'
import type { Freshness } from './encryption.ts'
import { encryptFor } from './encryption.ts'
import { Claim, CONTENT_IS_ENCRYPTED, CoseTag, Header, SHA_256 } from './labels.ts'
import { signedBytes } from './sealed-message.ts'

export interface SealRequest {
  readonly payload: Uint8Array
  /** Media type of the payload. */
  readonly contentType?: string
  /** The device's id: the common name of its certificate. */
  readonly device: string
  /** Above that of every message before, over restarts too. */
  readonly counter: number
  /** ms since the epoch; written in whole seconds. */
  readonly time?: number
  /** Public key of the consumer, on P-256: then nobody else reads the payload. */
  readonly recipient?: KeyObject
  /** The device's certificate and, behind it, what leads to its CA. */
  readonly chain: readonly [Certificate, ...Certificate[]]
  /** Leave the chain out of the message: whoever verifies knows it already. Default false. */
  readonly thumbprintOnly?: boolean
  readonly signer: Signer
  /** For test vectors alone. */
  readonly freshness?: Freshness
}

/** The payload, encrypted if wished and then signed. Throws RangeError for a request that cannot be sealed. */
export async function seal(request: SealRequest): Promise<Uint8Array> {
  const algorithm = algorithmFor(request)
  const headers = protectedHeader(request, algorithm)
  const payload = contentOf(request, headers)
  const signature = coseSignature(await request.signer.sign(signedBytes(headers, payload)), algorithm)
  return encodeCbor(new Tagged(CoseTag.sign1, [headers, unprotectedHeader(request), payload, signature]))
}

function algorithmFor({ chain: [leaf], signer, device, counter }: SealRequest): CoseAlgorithm {
  const algorithm = algorithmOf(leaf)
  if (algorithm === undefined)
    throw new RangeError('the certificate has a key that does not seal: use P-256, P-384, Ed25519 or ML-DSA-65')
  if (!sameBytes(leaf.spki, signer.spki)) throw new RangeError('the key is not the one of the certificate')
  if (device === '' || device.length > 128) throw new RangeError('a device id has 1 to 128 characters')
  if (!Number.isSafeInteger(counter) || counter < 0) throw new RangeError('a counter is an integer from 0 to 2^53 - 1')
  return algorithm
}

function protectedHeader(request: SealRequest, { id }: CoseAlgorithm): Uint8Array {
  const { contentType, device, counter, time, recipient, chain } = request
  const claims = new Map<number, Cbor>([[Claim.subject, device]])
  if (time !== undefined) claims.set(Claim.issuedAt, Math.floor(time / 1000))
  const headers = new Map<number, Cbor>([
    [Header.algorithm, id],
    [Header.cwtClaims, claims],
    [Header.x5t, [SHA_256, Buffer.from(chain[0].sha256, 'hex')]],
    [Header.counter, counter],
  ])
  const content = recipient === undefined ? contentType : CONTENT_IS_ENCRYPTED
  if (content !== undefined) headers.set(Header.contentType, content)
  return encodeCbor(headers)
}

function contentOf({ payload, contentType, recipient, freshness }: SealRequest, headers: Uint8Array): Uint8Array {
  if (recipient === undefined) return payload
  return encryptFor(recipient, { payload, contentType: contentType ?? null }, headers, freshness)
}

/** RFC 9360 §2: the chain vouches for itself and may stand outside of the signature; x5t ties it to the signer. */
function unprotectedHeader({ chain, thumbprintOnly = false }: SealRequest): ReadonlyMap<number, Cbor> {
  if (thumbprintOnly) return new Map()
  const [leaf, ...rest] = chain.map(({ der }) => der)
  return new Map<number, Cbor>([
    [Header.x5chain, rest.length === 0 ? (leaf as Uint8Array) : chain.map(({ der }) => der)],
  ])
}
