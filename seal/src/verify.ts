import type { KeyObject } from 'node:crypto'
import type { AnchorSet, Certificate, PathRequest, PathVerifier } from '@holdfast/pki'
import { isTrustError } from '@holdfast/pki'
import type { Content } from './encryption.ts'
import { decryptWith } from './encryption.ts'
import type { SealError } from './seal-error.ts'
import { isSealError, sealError } from './seal-error.ts'
import type { SealClaims, SealedMessage } from './sealed-message.ts'
import { readSealed } from './sealed-message.ts'

/** By which a device's certificate is believed. */
export type SealTrust =
  /** CAs: the certificate leads to one of them, and its one common name is the device's id. */
  | {
      readonly kind: 'authorities'
      readonly anchors: AnchorSet
      readonly checkRevocation?: PathRequest['checkRevocation']
    }
  /** The very certificate of the device, handed over beforehand. */
  | { readonly kind: 'pinned'; readonly certificate: Certificate }

export interface VerifyRequest {
  readonly trust: SealTrust
  readonly verifier: PathVerifier
  /** ms since the epoch: as of when certificates must be valid. */
  readonly now: number
  /**
   * `at-signing`: certificates must have been valid at the time that the device claims, which may not be after `now`.
   * That time is the device's word: whoever holds its key can claim an earlier one.
   */
  readonly validity?: 'now' | 'at-signing'
  readonly expectedDevice?: string
  /** Of the last message that was accepted from the device: this one's must be greater. */
  readonly lastCounter?: number
  /** Certificates that are known without being sent: the signer's for messages that carry a thumbprint alone. */
  readonly certificates?: readonly Certificate[]
}

/** A device's clock may run ahead by so much, ms. */
const CLOCK_SKEW_MS = 5 * 60_000

/** Held by this module alone: only verifySealed makes what it has verified. */
const verified = Symbol('verified')

/** A message that its device signed, as was verified. */
export class VerifiedSeal {
  readonly #message: SealedMessage
  readonly claims: SealClaims
  /** The device's certificate first, the trusted one last. */
  readonly path: readonly Certificate[]

  constructor(key: typeof verified, message: SealedMessage, path: readonly Certificate[]) {
    if (key !== verified) throw new TypeError('a VerifiedSeal comes from verifySealed alone')
    this.#message = message
    this.claims = message.claims
    this.path = path
  }

  /** In the clear, or a COSE_Encrypt for its consumer when the claims say that it is encrypted. */
  get payload(): Uint8Array {
    return this.#message.payload
  }

  get algorithm(): string {
    return this.#message.algorithm.name
  }

  /** Decrypts the payload with the consumer's private key. */
  open(recipientKey: KeyObject): Content | SealError {
    if (!this.claims.isEncrypted) return sealError('not-encrypted', 'The payload is signed and not encrypted.')
    return decryptWith(recipientKey, this.#message.payload, this.#message.protectedBytes)
  }
}

/** Verifies a sealed message with nothing but what is given: no network, no clock. */
export function verifySealed(bytes: Uint8Array, request: VerifyRequest): VerifiedSeal | SealError {
  const message = readSealed(bytes)
  if (isSealError(message)) return message
  const signer = message.signerAmong(request.certificates ?? [])
  if (isSealError(signer)) return signer
  const at = judgeClaims(message.claims, request)
  if (typeof at !== 'number') return at
  const path = judgeSigner(message, signer, at, request)
  if (isSealError(path)) return path
  if (!message.isSignedBy(signer, request.verifier))
    return sealError('signature-wrong', 'The signature is not that of the certificate over these bytes.')
  return new VerifiedSeal(verified, message, path)
}

/** Verifies a sealed message and decrypts it. */
export function openSealed(
  bytes: Uint8Array,
  request: VerifyRequest & { readonly recipientKey: KeyObject },
): (Content & { readonly seal: VerifiedSeal }) | SealError {
  const seal = verifySealed(bytes, request)
  if (isSealError(seal)) return seal
  const content = seal.open(request.recipientKey)
  return isSealError(content) ? content : { ...content, seal }
}

/** As of when the certificates are judged, when nothing speaks against the claims. */
function judgeClaims({ device, counter, time }: SealClaims, request: VerifyRequest): number | SealError {
  const { expectedDevice, lastCounter, now, validity = 'now' } = request
  if (expectedDevice !== undefined && device !== expectedDevice)
    return sealError('wrong-device', `The message is from device '${device}', not from '${expectedDevice}'.`)
  if (lastCounter !== undefined && counter <= lastCounter)
    return sealError('replayed', `The counter is ${counter}; ${lastCounter} was seen already.`)
  if (validity === 'now') return now
  if (time === null) return sealError('time-missing', 'The message does not say when it was signed.')
  if (time > now + CLOCK_SKEW_MS)
    return sealError(
      'time-in-future',
      `The message says it was signed at ${new Date(time).toISOString()}, in the future.`,
    )
  return time
}

function judgeSigner(
  message: SealedMessage,
  signer: Certificate,
  at: number,
  { trust, verifier, certificates = [] }: VerifyRequest,
): readonly Certificate[] | SealError {
  if (trust.kind === 'pinned') return judgePinned(signer, trust.certificate, at)
  const { anchors, checkRevocation } = trust
  const intermediates = [...message.chain.slice(1), ...certificates]
  const rules = { now: at, profile: 'compatible', purpose: 'clientAuth' } as const
  const verdict = verifier.verify({
    leaf: signer,
    intermediates,
    anchors,
    ...rules,
    ...(checkRevocation && { checkRevocation }),
  })
  if (isTrustError(verdict)) return sealError('untrusted', `The signer is not trusted: ${verdict.message}.`, verdict)
  const { commonNames } = signer.subject
  if (commonNames.length !== 1 || commonNames[0] !== message.claims.device)
    return sealError(
      'wrong-device',
      `The message names device '${message.claims.device}' and is signed by the certificate of '${commonNames.join("', '")}'.`,
    )
  return verdict.certificates
}

function judgePinned(signer: Certificate, pinned: Certificate, at: number): readonly Certificate[] | SealError {
  if (signer.sha256 !== pinned.sha256)
    return sealError('untrusted', 'The message is signed with another certificate than the one that is pinned.')
  if (at < signer.notBefore || at > signer.notAfter)
    return sealError('untrusted', 'The pinned certificate was not valid at that time.')
  return [signer]
}
