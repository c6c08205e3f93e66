import { createPublicKey, generateKeyPairSync, sign as cryptoSign, type KeyObject } from 'node:crypto'
import { bitString, nullValue, oid, sequence } from './der-writer.ts'
import { SignatureOid } from './oid.ts'

const GENERATORS = {
  p256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ed25519: () => generateKeyPairSync('ed25519'),
  rsa2048: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  rsa3072: () => generateKeyPairSync('rsa', { modulusLength: 3072 }),
  rsa4096: () => generateKeyPairSync('rsa', { modulusLength: 4096 }),
  'ml-dsa-65': () => generateKeyPairSync('ml-dsa-65'),
}

/** A kind of key that can be made, by the name that the command line uses. */
export type KeyType = keyof typeof GENERATORS
export const KEY_TYPES = Object.keys(GENERATORS) as readonly KeyType[]

/** A new private key, from the crypto library's own source of randomness. */
export function generateKey(type: KeyType): KeyObject {
  return GENERATORS[type]().privateKey
}

/**
 * Something that signs with a private key it need not show: a key file today, a PKCS#11 token or a TPM tomorrow, whose
 * calls leave the process and therefore answer with a promise.
 */
export interface Signer {
  /** AlgorithmIdentifier (DER) of its signatures. */
  readonly algorithm: Uint8Array
  /** SubjectPublicKeyInfo (DER) of its key. */
  readonly spki: Uint8Array
  /** The signature as a certificate carries it: ECDSA as a DER pair of integers. */
  sign(data: Uint8Array): Uint8Array | Promise<Uint8Array>
}

/** The SubjectPublicKeyInfo (DER) of a private or public key. */
export function spkiOf(key: KeyObject): Uint8Array {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return publicKey.export({ type: 'spki', format: 'der' })
}

/** A signer over a private key in memory. Throws RangeError for a key of a kind that does not sign here. */
export function keySigner(privateKey: KeyObject): Signer {
  const { algorithm, hash } = schemeOf(privateKey)
  return { algorithm, spki: spkiOf(privateKey), sign: (data) => cryptoSign(hash, data, privateKey) }
}

interface Scheme {
  readonly algorithm: Uint8Array
  readonly hash: string | null
}

// RFC 5758 §3.2: parameters absent. RFC 4055 §5: parameters NULL. RFC 8410 §3 and RFC 9881 §2: parameters absent.
const ECDSA_SHA256: Scheme = { algorithm: sequence(oid(SignatureOid.ecdsaWithSha256)), hash: 'sha256' }
const ECDSA_SHA384: Scheme = { algorithm: sequence(oid(SignatureOid.ecdsaWithSha384)), hash: 'sha384' }
const ECDSA_SHA512: Scheme = { algorithm: sequence(oid(SignatureOid.ecdsaWithSha512)), hash: 'sha512' }
const RSA_SHA256: Scheme = {
  algorithm: sequence(oid(SignatureOid.sha256WithRsaEncryption), nullValue()),
  hash: 'sha256',
}
const ED25519: Scheme = { algorithm: sequence(oid(SignatureOid.ed25519)), hash: null }
const ML_DSA_65: Scheme = { algorithm: sequence(oid(SignatureOid.mlDsa65)), hash: null }

function schemeOf(key: KeyObject): Scheme {
  if (key.type !== 'private') throw new RangeError('a signer needs a private key')
  switch (key.asymmetricKeyType) {
    case 'ec':
      return ecdsaSchemeOf(key.asymmetricKeyDetails?.namedCurve)
    case 'rsa':
      return RSA_SHA256
    case 'ed25519':
      return ED25519
    case 'ml-dsa-65':
      return ML_DSA_65
    default:
      throw new RangeError(`a key of type ${key.asymmetricKeyType ?? 'unknown'} cannot sign certificates here`)
  }
}

/** The hash is as strong as the curve (RFC 5480 §4). */
function ecdsaSchemeOf(curve: string | undefined): Scheme {
  switch (curve) {
    case 'prime256v1':
      return ECDSA_SHA256
    case 'secp384r1':
      return ECDSA_SHA384
    case 'secp521r1':
      return ECDSA_SHA512
    default:
      throw new RangeError(`the curve ${curve ?? 'with explicit parameters'} cannot sign certificates here`)
  }
}

/** `SEQUENCE { toBeSigned, signatureAlgorithm, signature }`: the shape of certificates and CRLs alike. */
export async function signed(tbs: Uint8Array, signer: Signer): Promise<Buffer> {
  return sequence(tbs, signer.algorithm, bitString(await signer.sign(tbs)))
}
