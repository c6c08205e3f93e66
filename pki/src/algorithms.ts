import type { DerValue } from './der.ts'
import { Tag } from './der.ts'

/** What signs and what is signed with: closed lists. Nothing outside of them is ever handed to the crypto library. */

type KeyKind = 'rsa' | 'ec' | 'ed25519' | 'ed448' | 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87'

export type PublicKeyAlgorithm =
  | { readonly kind: 'rsa'; readonly bits: number; readonly exponentBits: number }
  | { readonly kind: 'ec'; readonly curve: 'P-256' | 'P-384' | 'P-521' }
  | { readonly kind: Exclude<KeyKind, 'rsa' | 'ec'> }
  | { readonly kind: 'unsupported'; readonly oid: string; readonly detail: string }

export interface SignatureScheme {
  readonly name: string
  readonly key: KeyKind
  /** Digest name for node:crypto; null where the scheme hashes by itself. */
  readonly digest: 'sha256' | 'sha384' | 'sha512' | null
  /** Salt length in octets, for RSASSA-PSS. */
  readonly pssSalt?: number
}

const pss = (hash: string, salt: string): string =>
  `304106092a864886f70d01010a3034a00f300d0609608648016503040${hash}0500a11c301a06092a864886f70d010108300d0609608648016503040${hash}0500a2030201${salt}`

/**
 * Accepted signature algorithms by the exact DER of their AlgorithmIdentifier, parameters included: RFC 4055 (RSA: NULL;
 * PSS: one hash throughout, salt as long as the hash), RFC 5758 (ECDSA: absent), RFC 8410, RFC 9881 (ML-DSA: absent).
 */
const SIGNATURE_SCHEMES = new Map<string, SignatureScheme>([
  ['300a06082a8648ce3d040302', { name: 'ecdsa-with-SHA256', key: 'ec', digest: 'sha256' }],
  ['300a06082a8648ce3d040303', { name: 'ecdsa-with-SHA384', key: 'ec', digest: 'sha384' }],
  ['300a06082a8648ce3d040304', { name: 'ecdsa-with-SHA512', key: 'ec', digest: 'sha512' }],
  ['300d06092a864886f70d01010b0500', { name: 'sha256WithRSAEncryption', key: 'rsa', digest: 'sha256' }],
  ['300d06092a864886f70d01010c0500', { name: 'sha384WithRSAEncryption', key: 'rsa', digest: 'sha384' }],
  ['300d06092a864886f70d01010d0500', { name: 'sha512WithRSAEncryption', key: 'rsa', digest: 'sha512' }],
  [pss('201', '20'), { name: 'RSASSA-PSS with SHA-256', key: 'rsa', digest: 'sha256', pssSalt: 32 }],
  [pss('202', '30'), { name: 'RSASSA-PSS with SHA-384', key: 'rsa', digest: 'sha384', pssSalt: 48 }],
  [pss('203', '40'), { name: 'RSASSA-PSS with SHA-512', key: 'rsa', digest: 'sha512', pssSalt: 64 }],
  ['300506032b6570', { name: 'Ed25519', key: 'ed25519', digest: null }],
  ['300506032b6571', { name: 'Ed448', key: 'ed448', digest: null }],
  ['300b0609608648016503040311', { name: 'ML-DSA-44', key: 'ml-dsa-44', digest: null }],
  ['300b0609608648016503040312', { name: 'ML-DSA-65', key: 'ml-dsa-65', digest: null }],
  ['300b0609608648016503040313', { name: 'ML-DSA-87', key: 'ml-dsa-87', digest: null }],
])

/** Algorithms refused because they are broken, by OID, so that the refusal can say so. */
const BROKEN_SIGNATURES = new Map<string, string>([
  ['1.2.840.113549.1.1.2', 'md2WithRSAEncryption'],
  ['1.2.840.113549.1.1.4', 'md5WithRSAEncryption'],
  ['1.2.840.113549.1.1.5', 'sha1WithRSAEncryption'],
  ['1.2.840.10045.4.1', 'ecdsa-with-SHA1'],
  ['1.2.840.10040.4.3', 'dsa-with-SHA1'],
])

export type SignatureAlgorithm =
  | { readonly kind: 'supported'; readonly scheme: SignatureScheme }
  | { readonly kind: 'broken'; readonly name: string }
  | { readonly kind: 'unsupported'; readonly name: string }

/** Judges an AlgorithmIdentifier of a signature. Throws ParseError when it is none. */
export function parseSignatureAlgorithm(value: DerValue): SignatureAlgorithm {
  const scheme = SIGNATURE_SCHEMES.get(value.source.toString('hex', value.start, value.end))
  if (scheme !== undefined) return { kind: 'supported', scheme }
  const oid = value.reader().read(Tag.oid).oid()
  const name = BROKEN_SIGNATURES.get(oid)
  return name === undefined ? { kind: 'unsupported', name: oid } : { kind: 'broken', name }
}

interface KeyFormat {
  readonly algorithm: Exclude<PublicKeyAlgorithm, { kind: 'rsa' | 'unsupported' }>
  /** Octets of the key. */
  readonly length: number
}

/**
 * Key algorithms other than RSA by the exact DER of their AlgorithmIdentifier: RFC 5480 (uncompressed points only, the
 * form that every implementation must support), RFC 8410, RFC 9881.
 */
const KEY_FORMATS = new Map<string, KeyFormat>([
  ['301306072a8648ce3d020106082a8648ce3d030107', { algorithm: { kind: 'ec', curve: 'P-256' }, length: 65 }],
  ['301006072a8648ce3d020106052b81040022', { algorithm: { kind: 'ec', curve: 'P-384' }, length: 97 }],
  ['301006072a8648ce3d020106052b81040023', { algorithm: { kind: 'ec', curve: 'P-521' }, length: 133 }],
  ['300506032b6570', { algorithm: { kind: 'ed25519' }, length: 32 }],
  ['300506032b6571', { algorithm: { kind: 'ed448' }, length: 57 }],
  ['300b0609608648016503040311', { algorithm: { kind: 'ml-dsa-44' }, length: 1312 }],
  ['300b0609608648016503040312', { algorithm: { kind: 'ml-dsa-65' }, length: 1952 }],
  ['300b0609608648016503040313', { algorithm: { kind: 'ml-dsa-87' }, length: 2592 }],
])

/** RFC 3279 §2.3.1: rsaEncryption with parameters NULL. */
const RSA_ENCRYPTION = '300d06092a864886f70d0101010500'

/** Reads a SubjectPublicKeyInfo as far as needed to judge its algorithm and size; the key itself is not decoded. */
export function parsePublicKeyAlgorithm(spki: DerValue): PublicKeyAlgorithm {
  const reader = spki.reader()
  const identifier = reader.read(Tag.sequence)
  const key = reader.read(Tag.bitString)
  reader.finish()
  const encoded = identifier.source.toString('hex', identifier.start, identifier.end)
  if (encoded === RSA_ENCRYPTION) return parseRsaKey(key)
  const format = KEY_FORMATS.get(encoded)
  if (format === undefined) {
    return { kind: 'unsupported', oid: identifier.reader().read(Tag.oid).oid(), detail: encoded }
  }
  const octets = key.octetsOfBitString()
  if (format.algorithm.kind === 'ec' && octets[0] !== 0x04) {
    return { kind: 'unsupported', oid: '1.2.840.10045.2.1', detail: 'a point that is not in uncompressed form' }
  }
  if (octets.length !== format.length) key.fail('public key of the wrong length')
  return format.algorithm
}

function parseRsaKey(key: DerValue): PublicKeyAlgorithm {
  const reader = key.wrappedInBitString()
  const fields = reader.readSequence()
  const bits = bitLength(fields.read(Tag.integer))
  const exponentBits = bitLength(fields.read(Tag.integer))
  fields.finish()
  reader.finish()
  return { kind: 'rsa', bits, exponentBits }
}

function bitLength(value: DerValue): number {
  const octets = value.integer()
  const first = octets[0] ?? 0
  if (first >= 0x80) value.fail('negative INTEGER in an RSA key')
  if (first !== 0 || octets.length === 1) return octets.length * 8 - (Math.clz32(first) - 24)
  return (octets.length - 1) * 8 - (Math.clz32(octets[1] ?? 0) - 24)
}
