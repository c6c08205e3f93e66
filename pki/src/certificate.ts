import { hash } from 'node:crypto'
import type { PublicKeyAlgorithm, SignatureAlgorithm } from './algorithms.ts'
import { parsePublicKeyAlgorithm, parseSignatureAlgorithm } from './algorithms.ts'
import type { DerValue } from './der.ts'
import { contextConstructed, contextPrimitive, DerReader, Tag } from './der.ts'
import type { Extensions, KeyUsage } from './extensions.ts'
import { KeyUsageBit, NO_EXTENSIONS, parseExtensions } from './extensions.ts'
import { Name } from './name.ts'
import { ParseError } from './parse-error.ts'
import { decodePem } from './pem.ts'

/** A certificate with an ML-DSA-87 key and signature takes 8 kB; a stranger's need not be larger than this. */
const MAX_CERTIFICATE_BYTES = 64 * 1024
/** A chain holds at most ten; files of trust anchors may be longer. */
const MAX_CERTIFICATES_PER_FILE = 10_000

interface CertificateFields {
  readonly der: Uint8Array
  readonly tbs: Uint8Array
  readonly version: 1 | 2 | 3
  readonly serial: Uint8Array
  readonly issuer: Name
  readonly subject: Name
  readonly notBefore: number
  readonly notAfter: number
  readonly spki: Uint8Array
  readonly publicKeyAlgorithm: PublicKeyAlgorithm
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signatureAlgorithmsAgree: boolean
  readonly signature: Uint8Array
  readonly extensions: Extensions
}

/** A certificate as parsed (RFC 5280 §4.1). Nothing about it has been verified: see VerifiedPath for that. */
export class Certificate implements CertificateFields {
  readonly der: Uint8Array
  /** The signed part. */
  readonly tbs: Uint8Array
  readonly version: 1 | 2 | 3
  /** Content octets of the serial number. */
  readonly serial: Uint8Array
  readonly issuer: Name
  readonly subject: Name
  /** ms since the epoch, both inclusive. */
  readonly notBefore: number
  readonly notAfter: number
  /** SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  readonly publicKeyAlgorithm: PublicKeyAlgorithm
  readonly signatureAlgorithm: SignatureAlgorithm
  /** Whether the signed and the outer algorithm identifier are the same bytes, as RFC 5280 §4.1.1.2 demands. */
  readonly signatureAlgorithmsAgree: boolean
  readonly signature: Uint8Array
  readonly extensions: Extensions
  #sha1: string | undefined
  #sha256: string | undefined
  #spkiKey: string | undefined

  private constructor(fields: CertificateFields) {
    this.der = fields.der
    this.tbs = fields.tbs
    this.version = fields.version
    this.serial = fields.serial
    this.issuer = fields.issuer
    this.subject = fields.subject
    this.notBefore = fields.notBefore
    this.notAfter = fields.notAfter
    this.spki = fields.spki
    this.publicKeyAlgorithm = fields.publicKeyAlgorithm
    this.signatureAlgorithm = fields.signatureAlgorithm
    this.signatureAlgorithmsAgree = fields.signatureAlgorithmsAgree
    this.signature = fields.signature
    this.extensions = fields.extensions
  }

  /** See parseCertificate. */
  static parse(bytes: Uint8Array): Certificate {
    if (bytes.length > MAX_CERTIFICATE_BYTES) {
      throw new ParseError(`certificate larger than ${MAX_CERTIFICATE_BYTES} bytes`, 0)
    }
    // A copy of its own: the bytes that were judged stay what they were, and pin no pooled buffer.
    const reader = DerReader.over(new Uint8Array(bytes))
    const certificate = new Certificate(readCertificate(reader.read(Tag.sequence)))
    reader.finish()
    return certificate
  }

  /** Subject and issuer are the same name (RFC 5280 §3.2); says nothing about who signed. */
  get selfIssued(): boolean {
    return sameBytes(this.subject.der, this.issuer.der) || this.subject.key === this.issuer.key
  }

  /** Lower-case hex digests of the DER. */
  get sha1(): string {
    this.#sha1 ??= hash('sha1', this.der, 'hex')
    return this.#sha1
  }

  get sha256(): string {
    this.#sha256 ??= hash('sha256', this.der, 'hex')
    return this.#sha256
  }

  /** Lower-case hex of the serial's content octets. */
  get serialHex(): string {
    return Buffer.from(this.serial).toString('hex')
  }

  /** The public key's bytes as a string, for use as a map key. */
  get spkiKey(): string {
    this.#spkiKey ??= Buffer.from(this.spki).toString('latin1')
    return this.#spkiKey
  }

  get isCa(): boolean {
    return this.extensions.basicConstraints?.ca === true
  }

  /** Undefined when there is no keyUsage extension: then nothing is restricted. */
  allowsKeyUsage(usage: KeyUsage): boolean | undefined {
    const { keyUsage } = this.extensions
    return keyUsage === undefined ? undefined : (keyUsage & (1 << KeyUsageBit[usage])) !== 0
  }
}

function readCertificate(certificate: DerValue): CertificateFields {
  const outer = certificate.reader()
  const tbsValue = outer.read(Tag.sequence)
  const outerAlgorithm = outer.read(Tag.sequence)
  const signature = outer.read(Tag.bitString).octetsOfBitString()
  outer.finish()

  const tbs = tbsValue.reader()
  const version = readVersion(tbs)
  const serial = tbs.read(Tag.integer).integer()
  const innerAlgorithm = tbs.read(Tag.sequence)
  const issuer = Name.from(tbs.read(Tag.sequence))
  const validity = tbs.readSequence()
  const notBefore = validity.readAny().time()
  const notAfter = validity.readAny().time()
  validity.finish()
  const subject = Name.from(tbs.read(Tag.sequence))
  const spki = tbs.read(Tag.sequence)
  const publicKeyAlgorithm = parsePublicKeyAlgorithm(spki)
  const extensions = readTail(tbs, version)
  return {
    der: certificate.der,
    tbs: tbsValue.der,
    version,
    serial,
    issuer,
    subject,
    notBefore,
    notAfter,
    spki: spki.der,
    publicKeyAlgorithm,
    signatureAlgorithm: parseSignatureAlgorithm(outerAlgorithm),
    signatureAlgorithmsAgree: sameBytes(innerAlgorithm.der, outerAlgorithm.der),
    signature,
    extensions,
  }
}

function readVersion(tbs: DerReader): 1 | 2 | 3 {
  const wrapper = tbs.readOptional(contextConstructed(0))
  if (wrapper === undefined) return 1
  const reader = wrapper.reader()
  const version = reader.read(Tag.integer).smallInteger()
  reader.finish()
  // v1 is the DEFAULT, which DER leaves out.
  if (version !== 1 && version !== 2) return wrapper.fail('no such certificate version')
  return version === 1 ? 2 : 3
}

/** Unique identifiers need v2, extensions v3 (RFC 5280 §4.1.2.8, §4.1.2.9). */
function readTail(tbs: DerReader, version: 1 | 2 | 3): Extensions {
  if (version >= 2) {
    tbs.readOptional(contextPrimitive(1))
    tbs.readOptional(contextPrimitive(2))
  }
  const wrapper = version === 3 ? tbs.readOptional(contextConstructed(3)) : undefined
  tbs.finish()
  if (wrapper === undefined) return NO_EXTENSIONS
  const reader = wrapper.reader()
  const extensions = parseExtensions(reader.read(Tag.sequence))
  reader.finish()
  return extensions
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Parses one DER certificate, strictly. Throws ParseError. Parsing is not trusting. */
export function parseCertificate(der: Uint8Array): Certificate {
  return Certificate.parse(der)
}

/** Every certificate of a PEM text, or the one of a DER file, in order. Throws ParseError when there is none. */
export function parseCertificates(input: string | Uint8Array): Certificate[] {
  if (typeof input !== 'string' && input[0] === Tag.sequence) return [parseCertificate(input)]
  const text = typeof input === 'string' ? input : Buffer.from(input).toString('latin1')
  const blocks = decodePem(text, { maxLength: 64 * 1024 * 1024, maxBlocks: MAX_CERTIFICATES_PER_FILE })
  const certificates = blocks.filter((b) => b.label === 'CERTIFICATE').map((b) => parseCertificate(b.der))
  if (certificates.length === 0) throw new ParseError('no certificate found', 0)
  return certificates
}

/** Identity by issuer and serial number, for revocation indexes: SHA-256 over the DER of both, as lower-case hex. */
export function certificateId({ issuer, serial }: Pick<Certificate, 'issuer' | 'serial'>): string {
  return hash('sha256', Buffer.concat([issuer.der, Uint8Array.of(Tag.integer, serial.length), serial]), 'hex')
}
