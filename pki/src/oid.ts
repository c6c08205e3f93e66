import { ParseError } from './parse-error.ts'

/** Longest OBJECT IDENTIFIER that is read, in content octets; the longest in use (UUID arcs) take 20. */
const MAX_OID_BYTES = 64

/** Content octets of an OBJECT IDENTIFIER to dotted form (X.690 §8.19). */
export function decodeOid(source: Uint8Array, start: number, end: number): string {
  if (start >= end || end - start > MAX_OID_BYTES) throw new ParseError('OBJECT IDENTIFIER of bad length', start)
  if ((source[end - 1] ?? 0x80) >= 0x80) throw new ParseError('truncated OBJECT IDENTIFIER', start)
  let text = ''
  let arc = 0
  let atArcStart = true
  for (let i = start; i < end; i++) {
    const octet = source[i] ?? 0
    if (atArcStart && octet === 0x80) throw new ParseError('OBJECT IDENTIFIER arc with leading zeros', i)
    // Past 2^46 a double would lose bits and two identifiers could read alike.
    if (arc > 0x3fff_ffff_ffff) return decodeWideOid(source, start, end)
    arc = arc * 128 + (octet & 0x7f)
    atArcStart = octet < 0x80
    if (!atArcStart) continue
    text += text === '' ? firstArcs(arc) : `.${arc}`
    arc = 0
  }
  return text
}

function firstArcs(arc: number): string {
  const root = Math.min(2, Math.floor(arc / 40))
  return `${root}.${arc - root * 40}`
}

function decodeWideOid(source: Uint8Array, start: number, end: number): string {
  const arcs: bigint[] = []
  let arc = 0n
  for (const octet of source.subarray(start, end)) {
    arc = arc * 128n + BigInt(octet & 0x7f)
    if (octet >= 0x80) continue
    arcs.push(arc)
    arc = 0n
  }
  const [first = 0n, ...rest] = arcs
  const root = first >= 80n ? 2n : first / 40n
  return [root, first - root * 40n, ...rest].join('.')
}

/** Dotted form to content octets. Throws RangeError for text that is no OBJECT IDENTIFIER. */
export function encodeOid(dotted: string): Uint8Array {
  if (!/^[0-2](\.(0|[1-9]\d*))+$/.test(dotted)) throw new RangeError(`"${dotted}" is not an OBJECT IDENTIFIER`)
  const [root = 0n, second = 0n, ...rest] = dotted.split('.').map(BigInt)
  if (root < 2n && second > 39n) throw new RangeError(`"${dotted}" is not an OBJECT IDENTIFIER`)
  return Uint8Array.from([root * 40n + second, ...rest].flatMap(base128))
}

function base128(arc: bigint): number[] {
  const octets = [Number(arc & 0x7fn)]
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) octets.unshift(Number(rest & 0x7fn) | 0x80)
  return octets
}

/** Extensions of certificates and CRLs (RFC 5280 §4.2, §5.2, §5.3). */
export const ExtensionOid = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  crlNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
  invalidityDate: '2.5.29.24',
  deltaCrlIndicator: '2.5.29.27',
  issuingDistributionPoint: '2.5.29.28',
  certificateIssuer: '2.5.29.29',
  nameConstraints: '2.5.29.30',
  crlDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  policyMappings: '2.5.29.33',
  authorityKeyIdentifier: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extKeyUsage: '2.5.29.37',
  freshestCrl: '2.5.29.46',
  inhibitAnyPolicy: '2.5.29.54',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
} as const

/** RFC 5280 §4.2.1.12. */
export const KeyPurpose = {
  any: '2.5.29.37.0',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

/** RFC 5280 §4.2.2.1. */
export const AccessMethod = {
  ocsp: '1.3.6.1.5.5.7.48.1',
  caIssuers: '1.3.6.1.5.5.7.48.2',
} as const

/** RFC 5280 §4.2.1.4. */
export const ANY_POLICY = '2.5.29.32.0'

/** Attribute types of distinguished names (RFC 5280 §4.1.2.4 and appendix A.1), by their RFC 4514 short name. */
export const AttributeOid = {
  CN: '2.5.4.3',
  SERIALNUMBER: '2.5.4.5',
  C: '2.5.4.6',
  L: '2.5.4.7',
  ST: '2.5.4.8',
  STREET: '2.5.4.9',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  UID: '0.9.2342.19200300.100.1.1',
  DC: '0.9.2342.19200300.100.1.25',
  emailAddress: '1.2.840.113549.1.9.1',
} as const

/** Password-based encryption (RFC 8018 appendix C). */
export const EncryptionOid = {
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacWithSha1: '1.2.840.113549.2.7',
  hmacWithSha256: '1.2.840.113549.2.9',
  hmacWithSha384: '1.2.840.113549.2.10',
  hmacWithSha512: '1.2.840.113549.2.11',
  aes128Cbc: '2.16.840.1.101.3.4.1.2',
  aes192Cbc: '2.16.840.1.101.3.4.1.22',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
} as const

/** PKCS#12 (RFC 7292), the PKCS#7 content types it wraps and the PKCS#9 attributes of its bags. */
export const Pkcs12Oid = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  keyBag: '1.2.840.113549.1.12.10.1.1',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
} as const

/** Digests where they are named on their own (RFC 8017 appendix B.1). */
export const DigestOid = {
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
} as const

/** Signature algorithms that are issued with (RFC 5758, RFC 4055, RFC 8410, RFC 9881). */
export const SignatureOid = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  ecdsaWithSha384: '1.2.840.10045.4.3.3',
  ecdsaWithSha512: '1.2.840.10045.4.3.4',
  sha256WithRsaEncryption: '1.2.840.113549.1.1.11',
  ed25519: '1.3.101.112',
  mlDsa65: '2.16.840.1.101.3.4.3.18',
} as const
