import { hash } from 'node:crypto'
import { parseSignatureAlgorithm } from './algorithms.ts'
import type { Certificate } from './certificate.ts'
import { parseCertificate } from './certificate.ts'
import type { RevocationReason } from './crl-issue.ts'
import { reasonOfCode } from './crl.ts'
import { contextConstructed, contextPrimitive, DerReader, Tag } from './der.ts'
import type { DerValue } from './der.ts'
import { nullValue, octetString, oid, sequence } from './der-writer.ts'
import { AccessMethod } from './oid.ts'
import { ParseError } from './parse-error.ts'
import type { PathVerifier } from './path.ts'
import type { Signed } from './signature.ts'

/** The Online Certificate Status Protocol, client side (RFC 6960), by the rules of its lightweight profile (RFC 5019). */

const SHA1 = '1.3.14.3.2.26'
const BASIC_RESPONSE = '1.3.6.1.5.5.7.48.1.1'
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9'

/** A response holds one answer and at most a short chain; more is an attack or a mistake. */
export const MAX_OCSP_RESPONSE_BYTES = 64 * 1024
const MAX_ANSWERS = 16
const MAX_CERTIFICATES = 4
/** How far the responder's clock may be ahead of ours. */
const CLOCK_SKEW_MS = 5 * 60 * 1000

export type OcspStatus =
  | { readonly kind: 'good' }
  | { readonly kind: 'revoked'; readonly revokedAt: number; readonly reason: RevocationReason }
  /** The responder answers for the CA and does not know the certificate. */
  | { readonly kind: 'unknown' }

export interface OcspAnswer {
  readonly kind: 'answer'
  readonly status: OcspStatus
  /** ms. */
  readonly thisUpdate: number
  /** ms; undefined when the responder always has something newer (RFC 6960 §4.2.2.1). */
  readonly nextUpdate: number | undefined
  /** The CA itself, or a certificate that it issued for signing responses. */
  readonly signer: Certificate
}

/** Why a response says nothing about the certificate. */
export interface OcspError {
  readonly kind: 'ocsp-error'
  readonly message: string
}

interface Question {
  readonly certificate: Certificate
  readonly issuer: Certificate
}

/** Addresses of responders that the certificate names. */
export function ocspUrls({ extensions }: Certificate): string[] {
  const { authorityInfoAccess = [] } = extensions
  return authorityInfoAccess.flatMap(({ method, location }) =>
    method === AccessMethod.ocsp && location.kind === 'uri' ? [location.value] : [],
  )
}

/** A request about one certificate, DER. Without nonce, so that responders may answer from what they signed before. */
export function ocspRequest(question: Question): Buffer {
  return sequence(sequence(sequence(sequence(certificateIdOf(question)))))
}

/** RFC 6960 §4.1.1. SHA-1 only names the issuer here, and is what every responder knows (RFC 5019 §2.1.1). */
function certificateIdOf({ certificate, issuer }: Question): Buffer {
  const { serial } = certificate
  const serialNumber = Buffer.concat([Uint8Array.of(Tag.integer, serial.length), serial])
  const [name, key] = [hash('sha1', issuer.subject.der, 'buffer'), hash('sha1', publicKeyBits(issuer), 'buffer')]
  return sequence(sequence(oid(SHA1), nullValue()), octetString(name), octetString(key), serialNumber)
}

function publicKeyBits({ spki }: Certificate): Uint8Array {
  const info = DerReader.over(spki).readSequence()
  info.readSequence()
  return info.readAny().octetsOfBitString()
}

/** Reads and verifies a response to the question (RFC 6960 §3.2), as of `now` (ms). */
export function readOcspResponse(
  der: Uint8Array,
  question: Question,
  { now, verifier }: { readonly now: number; readonly verifier: PathVerifier },
): OcspAnswer | OcspError {
  try {
    const response = parseResponse(der)
    if (typeof response === 'string') return failed(response)
    const signer = signerOf(response, question.issuer, now, verifier)
    if (signer === undefined) return failed('it is not signed by the CA or by a responder that the CA appointed')
    const answer = response.answers.find((each) => isAbout(each, question))
    if (answer === undefined) return failed('it is about another certificate')
    const { status, thisUpdate, nextUpdate } = answer
    if (thisUpdate > now + CLOCK_SKEW_MS) return failed('it is dated in the future')
    if (nextUpdate !== undefined && nextUpdate < now) return failed('it has been replaced since')
    return { kind: 'answer', status, thisUpdate, nextUpdate, signer }
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    return failed(`it is malformed: ${error.message}`)
  }
}

function failed(message: string): OcspError {
  return { kind: 'ocsp-error', message }
}

interface Response extends Signed {
  readonly answers: readonly SingleAnswer[]
  readonly certificates: readonly Certificate[]
}

interface SingleAnswer {
  readonly nameHash: Uint8Array
  readonly keyHash: Uint8Array
  readonly serial: Uint8Array
  readonly isSha1: boolean
  readonly status: OcspStatus
  readonly thisUpdate: number
  readonly nextUpdate: number | undefined
}

const RESPONSE_STATUS = [
  '',
  'malformed request',
  'internal error',
  'try later',
  '',
  'signature required',
  'unauthorized',
]

/** A text when the responder gives no answer (§4.2.1). */
function parseResponse(der: Uint8Array): Response | string {
  const outer = DerReader.over(new Uint8Array(der), MAX_OCSP_RESPONSE_BYTES)
  const fields = outer.readSequence()
  const status = fields.read(Tag.enumerated).smallInteger()
  if (status !== 0) return `the responder refused: ${RESPONSE_STATUS[status] ?? status}`
  const wrapper = fields.read(contextConstructed(0)).reader()
  const typed = wrapper.readSequence()
  if (typed.read(Tag.oid).oid() !== BASIC_RESPONSE) return 'it is of an unknown type'
  const basic = typed.read(Tag.octetString).wrapped()
  typed.finish()
  wrapper.finish()
  fields.finish()
  outer.finish()
  const response = parseBasic(basic.readSequence())
  basic.finish()
  return response
}

function parseBasic(fields: DerReader): Response {
  const data = fields.read(Tag.sequence)
  const signatureAlgorithm = parseSignatureAlgorithm(fields.read(Tag.sequence))
  const signature = fields.read(Tag.bitString).octetsOfBitString()
  const wrapper = fields.readOptional(contextConstructed(0))
  fields.finish()
  const certificates = wrapper === undefined ? [] : parseCertificates(wrapper.reader())
  return { tbs: data.der, signatureAlgorithm, signature, answers: parseData(data.reader()), certificates }
}

function parseCertificates(wrapper: DerReader): Certificate[] {
  const list = wrapper.readSequence()
  wrapper.finish()
  const certificates: Certificate[] = []
  while (!list.atEnd) {
    if (certificates.length === MAX_CERTIFICATES) throw list.error('too many certificates')
    certificates.push(parseCertificate(list.read(Tag.sequence).der))
  }
  return certificates
}

function parseData(fields: DerReader): SingleAnswer[] {
  fields.readOptional(contextConstructed(0))
  const responder = fields.readAny()
  if (responder.tag !== contextConstructed(1) && responder.tag !== contextConstructed(2)) responder.fail('no responder')
  fields.readAny().time()
  const list = fields.readSequence()
  const answers: SingleAnswer[] = []
  while (!list.atEnd) {
    if (answers.length === MAX_ANSWERS) throw list.error('too many answers')
    answers.push(parseAnswer(list.readSequence()))
  }
  refuseCritical(fields.readOptional(contextConstructed(1)))
  fields.finish()
  return answers
}

function parseAnswer(fields: DerReader): SingleAnswer {
  const id = fields.readSequence()
  const algorithm = id.readSequence()
  const isSha1 = algorithm.read(Tag.oid).oid() === SHA1
  const nameHash = id.read(Tag.octetString).content
  const keyHash = id.read(Tag.octetString).content
  const serial = id.read(Tag.integer).integer()
  id.finish()
  const status = parseStatus(fields.readAny())
  const thisUpdate = fields.readAny().time()
  const next = fields.readOptional(contextConstructed(0))?.reader()
  const nextUpdate = next?.readAny().time()
  refuseCritical(fields.readOptional(contextConstructed(1)))
  fields.finish()
  return { nameHash, keyHash, serial, isSha1, status, thisUpdate, nextUpdate }
}

function parseStatus(value: DerValue): OcspStatus {
  if (value.tag === contextPrimitive(0)) return { kind: 'good' }
  if (value.tag === contextPrimitive(2)) return { kind: 'unknown' }
  if (value.tag !== contextConstructed(1)) return value.fail('no such certificate status')
  const fields = value.reader()
  const revokedAt = fields.readAny().time()
  const code = fields.readOptional(contextConstructed(0))?.reader().read(Tag.enumerated).smallInteger() ?? 0
  fields.finish()
  const reason = reasonOfCode(code)
  if (reason === undefined || reason === 'removeFromCRL') return value.fail('no such reason')
  return { kind: 'revoked', revokedAt, reason }
}

/** No critical extension is defined that a client without nonce would have to obey (RFC 6960 §4.4). */
function refuseCritical(wrapper: DerValue | undefined): void {
  if (wrapper === undefined) return
  const list = wrapper.reader().readSequence()
  while (!list.atEnd) {
    const extension = list.readSequence()
    extension.read(Tag.oid)
    if (extension.readOptional(Tag.boolean)?.boolean()) throw extension.error('critical extension')
    extension.read(Tag.octetString)
    extension.finish()
  }
}

/** The CA itself, or whom it appointed by a certificate of its own with that very purpose (RFC 6960 §4.2.2.2). */
function signerOf(
  response: Response,
  issuer: Certificate,
  now: number,
  { signatures }: PathVerifier,
): Certificate | undefined {
  if (signatures.verify(response, issuer)) return issuer
  return response.certificates.find((candidate) => {
    const isAppointed =
      candidate.extensions.extKeyUsage?.includes(OCSP_SIGNING) === true &&
      candidate.issuer.key === issuer.subject.key &&
      candidate.signatureAlgorithmsAgree &&
      now >= candidate.notBefore &&
      now <= candidate.notAfter
    return isAppointed && signatures.verify(candidate, issuer) && signatures.verify(response, candidate, false)
  })
}

function isAbout(answer: SingleAnswer, { certificate, issuer }: Question): boolean {
  if (!answer.isSha1 || Buffer.compare(answer.serial, certificate.serial) !== 0) return false
  const isIssuer = Buffer.compare(answer.nameHash, hash('sha1', issuer.subject.der, 'buffer')) === 0
  return isIssuer && Buffer.compare(answer.keyHash, hash('sha1', publicKeyBits(issuer), 'buffer')) === 0
}
