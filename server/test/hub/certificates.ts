import { randomBytes } from 'node:crypto'
import type { KeyObject, webcrypto } from 'node:crypto'
import {
  generateKey,
  issueDevice,
  issueIntermediate,
  issueRoot,
  issuerOf,
  issueVerification,
  keySigner,
  parseCertificate,
  spkiOf,
} from '@holdfast/pki'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

export const DAY = 24 * 60 * 60 * 1000

export interface Made {
  readonly der: Uint8Array
  readonly key: KeyObject
}

const term = (now: number, days = 30) => ({ now, lifetime: days * DAY })
const issuer = ({ der, key }: Made) => issuerOf(parseCertificate(der), keySigner(key))

export async function makeRoot(commonName: string, now: number, days?: number): Promise<Made> {
  const key = generateKey('p256')
  return { key, der: await issueRoot(keySigner(key), { subject: { commonName }, term: term(now, days) }, randomBytes) }
}

export async function makeIntermediate(parent: Made, commonName: string, now: number): Promise<Made> {
  const key = generateKey('p256')
  const request = { subject: { commonName }, spki: spkiOf(key), term: term(now) }
  return { key, der: await issueIntermediate(issuer(parent), request, randomBytes) }
}

export async function makeDevice(parent: Made, id: string, now: number, days?: number): Promise<Made> {
  const key = generateKey('p256')
  return { key, der: await issueDevice(issuer(parent), { id, spki: spkiOf(key), term: term(now, days) }, randomBytes) }
}

export async function makeVerification(parent: Made, code: string, now: number): Promise<Uint8Array> {
  const holder = { code, spki: spkiOf(generateKey('p256')), term: term(now, 1) }
  return issueVerification(issuer(parent), holder, randomBytes)
}

export interface Forgery {
  readonly subject: x509.JsonName
  /** Absent: signed by its own key. */
  readonly issuer?: { readonly name: x509.JsonName | string; readonly key: KeyObject }
  readonly notBefore: number
  readonly notAfter: number
  readonly ca?: boolean
  readonly subjectKeyId?: string
}

/** A certificate that our own issuing refuses to make: by foreign tools, with whatever names and issuers. */
export async function forge(forgery: Forgery): Promise<Made> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const key = generateKey('p256')
  const publicKey = await crypto.subtle.importKey('spki', new Uint8Array(spkiOf(key)), algorithm, true, ['verify'])
  const signingKey = await importPrivate(forgery.issuer?.key ?? key, algorithm)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomBytes(8).toString('hex').replace(/^./, '1'),
    subject: forgery.subject,
    issuer: forgery.issuer?.name ?? forgery.subject,
    notBefore: new Date(forgery.notBefore),
    notAfter: new Date(forgery.notAfter),
    signingAlgorithm: algorithm,
    publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(forgery.ca ?? false, undefined, true),
      ...(forgery.subjectKeyId ? [new x509.SubjectKeyIdentifierExtension(forgery.subjectKeyId)] : []),
    ],
  })
  return { key, der: new Uint8Array(certificate.rawData) }
}

/** An RSA root of the given strength and digest, by foreign tools. */
export async function forgeRsaRoot(bits: number, hash: 'SHA-1' | 'SHA-256', now: number): Promise<Uint8Array> {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', modulusLength: bits, publicExponent: new Uint8Array([1, 0, 1]), hash }
  const keys = (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=Weak root',
    notBefore: new Date(now - DAY),
    notAfter: new Date(now + DAY),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  })
  return new Uint8Array(certificate.rawData)
}

async function importPrivate(key: KeyObject, algorithm: webcrypto.EcKeyImportParams): Promise<CryptoKey> {
  const der = new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }))
  return crypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign'])
}
