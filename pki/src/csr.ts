import {
  parsePublicKeyAlgorithm,
  parseSignatureAlgorithm,
  type PublicKeyAlgorithm,
  type SignatureAlgorithm,
} from './algorithms.ts'
import { contextConstructed, DerReader, Tag } from './der.ts'
import { IssueError } from './issue-error.ts'
import { issueDevice, type Holder, type Issuer } from './issue.ts'
import { Name } from './name.ts'
import { ParseError } from './parse-error.ts'
import type { Random } from './pbes2.ts'
import { SignatureVerifier } from './signature.ts'
import { checkDeviceId } from './subject.ts'

/** A request with an ML-DSA-87 key and signature takes 8 kB. */
const MAX_REQUEST_BYTES = 64 * 1024

/** A certification request (PKCS#10, RFC 2986) as parsed. Its attributes are read past: requests grant nothing. */
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
  fields.readOptional(contextConstructed(0))
  fields.finish()
  return {
    tbs: info.der,
    subject,
    spki: spki.der,
    spkiKey: spki.der.toString('latin1'),
    publicKeyAlgorithm: parsePublicKeyAlgorithm(spki),
    signatureAlgorithm,
    signature,
  }
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
