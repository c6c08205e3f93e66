import {
  parsePublicKeyAlgorithm,
  parseSignatureAlgorithm,
  type PublicKeyAlgorithm,
  type SignatureAlgorithm,
} from './algorithms.ts'
import { contextConstructed, DerReader, Tag } from './der.ts'
import type { DerValue } from './der.ts'
import { parseExtensions } from './extensions.ts'
import { IssueError } from './issue-error.ts'
import { issueDevice, type Holder, type Issuer } from './issue.ts'
import { Name } from './name.ts'
import { ParseError } from './parse-error.ts'
import type { Random } from './pbes2.ts'
import { SignatureVerifier } from './signature.ts'
import { checkDeviceId } from './subject.ts'

/** A request with an ML-DSA-87 key and signature takes 8 kB. */
const MAX_REQUEST_BYTES = 64 * 1024

/** A certification request (PKCS#10, RFC 2986) as parsed. Of its attributes nothing is granted. */
export interface CertificateRequest {
  /** The signed part. */
  readonly tbs: Uint8Array
  readonly subject: Name
  readonly spki: Uint8Array
  /** The public key's bytes as a string, for use as a map key. */
  readonly spkiKey: string
  readonly publicKeyAlgorithm: PublicKeyAlgorithm
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signature: Uint8Array
  /** Whether it asks to become a CA. */
  readonly wantsCa: boolean
}

/** Parses one DER request, strictly. Throws ParseError. */
export function parseCertificateRequest(der: Uint8Array): CertificateRequest {
  const file = DerReader.over(new Uint8Array(der), MAX_REQUEST_BYTES)
  const outer = file.readSequence()
  file.finish()
  const info = outer.read(Tag.sequence)
  const signatureAlgorithm = parseSignatureAlgorithm(outer.read(Tag.sequence))
  const signature = outer.read(Tag.bitString).octetsOfBitString()
  outer.finish()

  const fields = info.reader()
  const version = fields.read(Tag.integer)
  if (version.smallInteger() !== 0) throw new ParseError('no such version of a certification request', version.start)
  const subject = Name.from(fields.read(Tag.sequence))
  const spki = fields.read(Tag.sequence)
  // RFC 2986 §4.1 demands the attributes even when there are none; some makers leave them out.
  const attributes = fields.readOptional(contextConstructed(0))
  fields.finish()
  return {
    tbs: info.der,
    subject,
    spki: spki.der,
    spkiKey: spki.der.toString('latin1'),
    publicKeyAlgorithm: parsePublicKeyAlgorithm(spki),
    signatureAlgorithm,
    signature,
    wantsCa: attributes !== undefined && asksForCa(attributes),
  }
}

/** RFC 2985 §5.4.2: an attribute of the extensions that the certificate should have. */
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14'

function asksForCa(attributes: DerValue): boolean {
  const reader = attributes.reader()
  while (!reader.atEnd) {
    const attribute = reader.readSequence()
    const type = attribute.read(Tag.oid).oid()
    const values = attribute.read(Tag.set).reader()
    attribute.finish()
    if (type !== EXTENSION_REQUEST) continue
    while (!values.atEnd) if (parseExtensions(values.read(Tag.sequence)).basicConstraints?.ca === true) return true
  }
  return false
}

/**
 * The device id that a request names: its one common name. Throws IssueError when the request is not signed by the key
 * it holds (the requester need not have that key), or names no id, several, or an impossible one.
 */
export function requestedDeviceId(request: CertificateRequest): string {
  if (!new SignatureVerifier(1).verify(request, request)) {
    throw new IssueError(
      'request-signature',
      'The request is not signed by the key it asks to certify, or by an algorithm that is not accepted.',
      'Make the request with the private key of the device: openssl req -new -key device.key -subj /CN=ID',
    )
  }
  if (request.wantsCa) {
    throw new IssueError(
      'request-for-ca',
      'The request asks for the certificate of a CA, which is not signed for a request.',
      'Make the CA here, or make the request without basicConstraints CA:TRUE.',
    )
  }
  const [id, second] = request.subject.commonNames
  if (id === undefined || second !== undefined) {
    throw new IssueError(
      'invalid-name',
      `The request names ${id === undefined ? 'no' : 'more than one'} common name, so its device is not known.`,
      'Make the request with one common name, the device id: openssl req -new -key device.key -subj /CN=ID',
    )
  }
  checkDeviceId(id)
  return id
}

/**
 * A device certificate for a request made elsewhere, DER: the key never leaves the device. Of the request only the key
 * and the device id are used; whatever extensions it asks for are not granted. Throws IssueError.
 */
export function issueFromRequest(
  issuer: Issuer,
  { request, ...granted }: { readonly request: CertificateRequest } & Omit<Holder, 'spki'>,
  random: Random,
): Promise<Buffer> {
  return issueDevice(issuer, { id: requestedDeviceId(request), spki: request.spki, ...granted }, random)
}
