import type { KeyObject } from 'node:crypto'
import { constants, createPublicKey, verify } from 'node:crypto'
import type { PublicKeyAlgorithm, SignatureAlgorithm, SignatureScheme } from './algorithms.ts'
import { BoundedCache } from './bounded-cache.ts'
import type { Certificate } from './certificate.ts'

/** Anything signed as certificates are: certificates, CRLs. */
export interface Signed {
  readonly tbs: Uint8Array
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signature: Uint8Array
}

/** Something named by the digest of its bytes, signature included. */
interface Identified {
  readonly sha256: string
}

/** A public key as a certificate or a request holds it. */
export type HeldKey = Pick<Certificate, 'publicKeyAlgorithm' | 'spki' | 'spkiKey'>

/** RSA below 2048 bits is within reach; above 8192 a check costs more than it adds. Large exponents are a known DoS. */
const RSA_BITS = { min: 2048, max: 8192, exponent: 33 }

/** Why a key may not be relied on, or undefined when it may. */
export function keyWeakness(key: PublicKeyAlgorithm): { weak: boolean; reason: string } | undefined {
  if (key.kind === 'unsupported')
    return { weak: false, reason: `has a public key of unsupported type ${key.oid} (${key.detail})` }
  if (key.kind !== 'rsa') return undefined
  if (key.bits < RSA_BITS.min) return { weak: true, reason: `has an RSA key of only ${key.bits} bits` }
  if (key.bits > RSA_BITS.max) return { weak: false, reason: `has an RSA key of ${key.bits} bits, more than 8192` }
  if (key.exponentBits < 2 || key.exponentBits > RSA_BITS.exponent) {
    return { weak: true, reason: `has an RSA key with an exponent of ${key.exponentBits} bits` }
  }
  return undefined
}

/**
 * Checks signatures, with decoded keys and good signatures remembered. Only successes are remembered, and only for what
 * chains up to a trust anchor, so strangers cannot push entries out. Leaves have a memory of their own, so that their great
 * number cannot either.
 */
export class SignatureVerifier {
  readonly #keys: BoundedCache<KeyObject>
  readonly #verified: BoundedCache<true>
  readonly #leaves: BoundedCache<true> | null

  /** `leafCacheSize` 0: every leaf is checked each time. */
  constructor(cacheSize: number, leafCacheSize = 0) {
    this.#keys = new BoundedCache(cacheSize)
    this.#verified = new BoundedCache(cacheSize)
    this.#leaves = leafCacheSize === 0 ? null : new BoundedCache(leafCacheSize)
  }

  /** Whether this certificate or CRL is known to be signed with the key of the issuer's certificate. */
  isKnown(signed: Identified, issuer: Identified): boolean {
    return this.#verified.get(linkKey(signed, issuer)) === true
  }

  remember(signed: Identified, issuer: Identified): void {
    this.#verified.set(linkKey(signed, issuer), true)
  }

  /** The same of a leaf. What it is signed with does not change; whether it is still valid is another question. */
  isKnownLeaf(leaf: Identified, issuer: Identified): boolean {
    return this.#leaves?.get(linkKey(leaf, issuer)) === true
  }

  rememberLeaf(leaf: Identified, issuer: Identified): void {
    this.#leaves?.set(linkKey(leaf, issuer), true)
  }

  /** Keeps the issuer's key decoded. */
  rememberKey(issuer: HeldKey): void {
    this.#key(issuer, true)
  }

  /**
   * Checks the signature. The key and the scheme must be of one kind and acceptable. `keepKey`: keep the decoded key for
   * the next time; not for keys of strangers.
   */
  verify(signed: Signed, issuer: HeldKey, keepKey = true): boolean {
    const { signatureAlgorithm } = signed
    if (signatureAlgorithm.kind !== 'supported') return false
    const { scheme } = signatureAlgorithm
    if (issuer.publicKeyAlgorithm.kind !== scheme.key || keyWeakness(issuer.publicKeyAlgorithm)) return false
    const key = this.#key(issuer, keepKey)
    return key !== undefined && verify(scheme.digest, signed.tbs, verifyKey(scheme, key), signed.signature)
  }

  #key(issuer: HeldKey, keep: boolean): KeyObject | undefined {
    const known = this.#keys.get(issuer.spkiKey)
    if (known !== undefined) return known
    const key = decodeKey(issuer.spki)
    if (key !== undefined && keep) this.#keys.set(issuer.spkiKey, key)
    return key
  }
}

function linkKey(signed: Identified, issuer: Identified): string {
  return signed.sha256 + issuer.sha256
}

/** Undefined when the crypto library cannot make a key of it: a point off the curve, or an algorithm it lacks. */
function decodeKey(spki: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

function verifyKey(scheme: SignatureScheme, key: KeyObject): Parameters<typeof verify>[2] {
  if (scheme.pssSalt === undefined) return key
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: scheme.pssSalt }
}
