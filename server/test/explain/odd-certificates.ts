import { randomBytes } from 'node:crypto'
import type { KeyObject, webcrypto } from 'node:crypto'
import { generateKey, parseCertificate, spkiOf } from '@holdfast/pki'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { DAY } from '../hub/certificates.ts'
import type { Made } from '../hub/certificates.ts'

export interface Oddity {
  /** Common name; several are several attributes. */
  readonly names: readonly string[]
  /** Absent: signed by its own key. */
  readonly issuer?: Made
  readonly now: number
  /** ms from `now`. */
  readonly term?: readonly [from: number, until: number]
  readonly ca?: boolean
  readonly pathLength?: number
  readonly extensions?: readonly x509.Extension[]
}

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** A certificate as our own issuing never makes one, by foreign tools. */
export async function makeOdd(oddity: Oddity): Promise<Made> {
  const { names, issuer, now, term = [-DAY, 20 * DAY], ca = false, pathLength, extensions = [] } = oddity
  const key = generateKey('p256')
  const publicKey = await crypto.subtle.importKey('spki', new Uint8Array(spkiOf(key)), ECDSA, true, ['verify'])
  const subject = names.map((CN) => ({ CN: [CN] }))
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomBytes(8).toString('hex').replace(/^./, '1'),
    subject,
    issuer: issuer === undefined ? subject : parseCertificate(issuer.der).subject.toString(),
    notBefore: new Date(now + term[0]),
    notAfter: new Date(now + term[1]),
    signingAlgorithm: ECDSA,
    publicKey,
    signingKey: await privateKey((issuer ?? { key }).key),
    extensions: [new x509.BasicConstraintsExtension(ca, pathLength, true), ...extensions],
  })
  return { key, der: new Uint8Array(certificate.rawData) }
}

/** A leaf with an RSA key of so many bits, or signed with a broken digest. */
export async function makeRsaLeaf(name: string, bits: number, hash: 'SHA-1' | 'SHA-256', now: number): Promise<Made> {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', modulusLength: bits, publicExponent: new Uint8Array([1, 0, 1]), hash }
  const keys = (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${name}`,
    notBefore: new Date(now - DAY),
    notAfter: new Date(now + DAY),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.BasicConstraintsExtension(false, undefined, true)],
  })
  return { key: generateKey('p256'), der: new Uint8Array(certificate.rawData) }
}

async function privateKey(key: KeyObject): Promise<CryptoKey> {
  const der = new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }))
  return crypto.subtle.importKey('pkcs8', der, ECDSA, true, ['sign'])
}

export const SERVER_ONLY = new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth])
export const NO_PURPOSE = new x509.Extension('2.5.29.37', false, new Uint8Array([0x30, 0x00]))
export const ENCIPHER_ONLY = new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyEncipherment, true)
export const CRL_SIGN_ONLY = new x509.KeyUsagesExtension(x509.KeyUsageFlags.cRLSign, true)
export const UNKNOWN_CRITICAL = new x509.Extension('1.3.6.1.4.1.55555.1', true, new Uint8Array([0x05, 0x00]))
/** nameConstraints: permitted is only the directory name O=Elsewhere. */
export const ONLY_ELSEWHERE = new x509.Extension(
  '2.5.29.30',
  true,
  Buffer.from('301ca01a3018a416301431123010060355040a0c09456c73657768657265', 'hex'),
)
/** policyConstraints: an explicit policy is required from here on. */
export const POLICY_REQUIRED = new x509.Extension('2.5.29.36', true, new Uint8Array([0x30, 0x03, 0x80, 0x01, 0x00]))
