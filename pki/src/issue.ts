import { parsePublicKeyAlgorithm } from './algorithms.ts'
import { sameBytes, type Certificate } from './certificate.ts'
import { DerReader, Tag } from './der.ts'
import { explicit, integer, sequence, time } from './der-writer.ts'
import {
  authorityKeyIdentifier,
  basicConstraintsCa,
  basicConstraintsEndEntity,
  extendedKeyUsage,
  keyIdentifier,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from './extension-writer.ts'
import { IssueError } from './issue-error.ts'
import { KeyPurpose } from './oid.ts'
import type { Random } from './pbes2.ts'
import { publicationExtensions, type Publication } from './publication.ts'
import { keyWeakness } from './signature.ts'
import { signed, type Signer } from './signer.ts'
import { checkDeviceId, checkPossessionCode, encodeSubject, type Subject } from './subject.ts'
import { termOf, type Term, type Validity } from './term.ts'

/** A CA that can issue: its certificate and the means to sign with its key. Made by `issuerOf` alone. */
export interface Issuer {
  readonly certificate: Certificate
  readonly signer: Signer
}

/** Throws IssueError when the certificate is not one of a CA, or the key is not the certificate's. */
export function issuerOf(certificate: Certificate, signer: Signer): Issuer {
  const name = certificate.subject.toString()
  // RFC 5280 §4.2.1.3: a keyUsage extension, where present, must allow what the key is used for.
  if (!certificate.isCa || certificate.allowsKeyUsage('keyCertSign') === false) {
    throw new IssueError(
      'issuer-not-a-ca',
      `"${name}" is not a CA certificate: its extensions do not allow it to sign certificates.`,
      'Issue from a root or an intermediate CA.',
    )
  }
  if (!sameBytes(certificate.spki, signer.spki)) {
    throw new IssueError(
      'issuer-key-mismatch',
      `The private key does not belong to the certificate "${name}".`,
      'Use the key that the certificate was made for.',
    )
  }
  return { certificate, signer }
}

/**
 * What every kind of certificate needs besides its own: the holder's SubjectPublicKeyInfo (DER) and its validity; and where
 * its issuer publishes what becomes of it, if anywhere.
 */
export interface Holder {
  readonly spki: Uint8Array
  readonly term: Term
  readonly publication?: Publication
}

export interface CaProfile {
  readonly subject: Subject
  /** How many further CAs may follow below; absent: as many as the issuer allows. */
  readonly pathLength?: number
}

/** A self-signed CA certificate, DER. */
export async function issueRoot(
  signer: Signer,
  { subject, pathLength, term }: CaProfile & { readonly term: Term },
  random: Random,
): Promise<Buffer> {
  checkKey(signer.spki)
  const name = encodeSubject(subject)
  const identifier = keyIdentifier(signer.spki)
  const extensions = [...caExtensions(pathLength), subjectKeyIdentifier(identifier), authorityKeyIdentifier(identifier)]
  const validity = termOf(term, undefined)
  return write({ issuer: name, subject: name, validity, spki: signer.spki, extensions }, signer, random)
}

/** The certificate of a CA below `issuer`, DER. */
export async function issueIntermediate(
  issuer: Issuer,
  { subject, pathLength, ...holder }: CaProfile & Holder,
  random: Random,
): Promise<Buffer> {
  const limit = pathLengthBelow(issuer.certificate, pathLength)
  return issue(issuer, { ...holder, subject: encodeSubject(subject), extensions: caExtensions(limit) }, random)
}

/** The certificate by which the device `id` identifies itself: the common name is the id. DER. */
export async function issueDevice(
  issuer: Issuer,
  { id, ...holder }: { readonly id: string } & Holder,
  random: Random,
): Promise<Buffer> {
  checkDeviceId(id)
  const extensions = endEntityExtensions(KeyPurpose.clientAuth)
  return issue(issuer, { ...holder, subject: encodeSubject({ commonName: id }), extensions }, random)
}

/** The certificate by which the holder of the issuer's key answers a verification code: the common name is the code. */
export async function issueVerification(
  issuer: Issuer,
  { code, ...holder }: { readonly code: string } & Holder,
  random: Random,
): Promise<Buffer> {
  checkPossessionCode(code)
  const extensions = endEntityExtensions(KeyPurpose.clientAuth)
  return issue(issuer, { ...holder, subject: encodeSubject({ commonName: code }), extensions }, random)
}

/** A TLS server's certificate for DNS names and IP addresses. DER. */
export async function issueServer(
  issuer: Issuer,
  { names, ...holder }: { readonly names: readonly [string, ...string[]] } & Holder,
  random: Random,
): Promise<Buffer> {
  // Clients read the alternative names (RFC 9525 §2); the common name is for people and holds 64 characters.
  const commonName = names.find((name) => name.length <= 64) ?? names[0]
  const extensions = [...endEntityExtensions(KeyPurpose.serverAuth), subjectAltName(names)]
  return issue(issuer, { ...holder, subject: encodeSubject({ commonName }), extensions }, random)
}

interface Profile extends Holder {
  /** Name, DER. */
  readonly subject: Uint8Array
  readonly extensions: readonly Uint8Array[]
}

function issue(issuer: Issuer, profile: Profile, random: Random): Promise<Buffer> {
  const { certificate, signer } = issuer
  const { subject, spki, term, publication = {} } = profile
  checkKey(spki)
  checkNotIssuersKey(spki, certificate)
  const authority = certificate.extensions.subjectKeyIdentifier ?? keyIdentifier(certificate.spki)
  const extensions = [
    ...profile.extensions,
    subjectKeyIdentifier(keyIdentifier(spki)),
    authorityKeyIdentifier(authority),
    ...publicationExtensions(publication),
  ]
  const validity = termOf(term, certificate)
  return write({ issuer: certificate.subject.der, subject, validity, spki, extensions }, signer, random)
}

function caExtensions(pathLength: number | undefined): Buffer[] {
  if (pathLength !== undefined && !(Number.isInteger(pathLength) && pathLength >= 0)) {
    throw new RangeError(`a path length is a whole number from 0, not ${pathLength}`)
  }
  return [basicConstraintsCa(pathLength), keyUsage('keyCertSign', 'cRLSign')]
}

function endEntityExtensions(purpose: string): Buffer[] {
  return [basicConstraintsEndEntity(), keyUsage('digitalSignature'), extendedKeyUsage(purpose)]
}

/** RFC 5280 §4.2.1.9: the issuer's limit counts the CAs that may follow it, so one is used up by the new CA itself. */
function pathLengthBelow(issuer: Certificate, wanted: number | undefined): number | undefined {
  const limit = issuer.extensions.basicConstraints?.pathLength
  if (limit === undefined) return wanted
  if (limit > 0 && (wanted ?? 0) < limit) return wanted ?? limit - 1
  const below = limit === 0 ? 'no CA' : `at most ${limit} CA${limit === 1 ? '' : 's'}, one below the other,`
  throw new IssueError(
    'path-length-exhausted',
    `"${issuer.subject.toString()}" allows ${below} below itself (path length ${limit}).`,
    limit === 0
      ? 'Issue devices from it, or make the CA below another one with a larger path length.'
      : `Ask for a path length of ${limit - 1} or less.`,
  )
}

interface ToBeSigned {
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly validity: Validity
  readonly spki: Uint8Array
  readonly extensions: readonly Uint8Array[]
}

/** TBSCertificate (RFC 5280 §4.1), version 3, with a serial of 128 random bits. */
function write(certificate: ToBeSigned, signer: Signer, random: Random): Promise<Buffer> {
  const { issuer, subject, validity, spki, extensions } = certificate
  const tbs = sequence(
    explicit(0, integer(2)),
    integer(serialNumber(random)),
    signer.algorithm,
    issuer,
    sequence(time(validity.notBefore), time(validity.notAfter)),
    subject,
    spki,
    explicit(3, sequence(...extensions)),
  )
  return signed(tbs, signer)
}

function serialNumber(random: Random): Uint8Array {
  const serial = random(16)
  // RFC 5280 §4.1.2.2: positive. Zero comes from a broken source, and then nothing it gave may be used.
  if (serial.every((byte) => byte === 0)) throw new RangeError('the source of randomness returned zeros')
  return serial
}

function checkNotIssuersKey(spki: Uint8Array, issuer: Certificate): void {
  if (!sameBytes(spki, issuer.spki)) return
  throw new IssueError(
    'issuer-key-reused',
    `The key to be certified is the key of the issuing CA "${issuer.subject.toString()}" itself.`,
    'Make a new key: whoever holds it could sign as the CA.',
  )
}

/** Throws IssueError `weak-key` unless the SubjectPublicKeyInfo holds a key of an accepted kind and strength. */
function checkKey(spki: Uint8Array): void {
  const weakness = keyWeakness(parsePublicKeyAlgorithm(DerReader.over(spki).read(Tag.sequence)))
  if (weakness === undefined) return
  throw new IssueError(
    'weak-key',
    `The certificate would have ${weakness.reason.replace(/^has /, '')}.`,
    'Make a P-256 key or a stronger one.',
  )
}
