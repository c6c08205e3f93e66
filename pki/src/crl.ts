import { hash } from 'node:crypto'
import type { SignatureAlgorithm } from './algorithms.ts'
import { parseSignatureAlgorithm } from './algorithms.ts'
import { sameBytes } from './certificate.ts'
import type { RevocationReason } from './crl-issue.ts'
import { contextConstructed, contextPrimitive, DerReader, Tag } from './der.ts'
import type { DerValue } from './der.ts'
import type { DistributionPoint, DistributionPointName } from './distribution-point.ts'
import { parseDistributionPoints, readDistributionPointName } from './distribution-point.ts'
import type { AuthorityKeyIdentifier, Extension } from './extensions.ts'
import { parseAuthorityKeyIdentifier, readExtensionList } from './extensions.ts'
import { parseGeneralNames } from './general-name.ts'
import { Name } from './name.ts'
import { ExtensionOid } from './oid.ts'
import { ParseError } from './parse-error.ts'
import { decodePem } from './pem.ts'

/** Certificate revocation lists (RFC 5280 §5). Parsing is not trusting: see checkRevocation for who must have signed. */

/** About a million entries. */
const MAX_CRL_BYTES = 64 * 1024 * 1024

/** By code (RFC 5280 §5.3.1); 7 is not used. */
const REASONS: readonly (CrlReason | undefined)[] = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  undefined,
  'removeFromCRL',
  'privilegeWithdrawn',
  'aACompromise',
]

export type CrlReason = RevocationReason | 'removeFromCRL'

export function reasonOfCode(code: number): CrlReason | undefined {
  return REASONS[code]
}

export interface CrlEntry {
  /** ms since the epoch. */
  readonly revokedAt: number
  readonly reason: CrlReason
}

/** RFC 5280 §5.2.5: which certificates and reasons a CRL speaks of. */
export interface CrlScope {
  readonly name: DistributionPointName | undefined
  readonly onlyUserCertificates: boolean
  readonly onlyCaCertificates: boolean
  readonly onlyAttributeCertificates: boolean
  /** ReasonFlags bits; undefined: all reasons. */
  readonly onlySomeReasons: number | undefined
  readonly indirect: boolean
  /** The extension's bytes: a delta has the scope of its base when these are equal. */
  readonly der: Uint8Array
}

interface CrlFields {
  readonly der: Uint8Array
  readonly tbs: Uint8Array
  readonly issuer: Name
  readonly thisUpdate: number
  readonly nextUpdate: number | undefined
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signatureAlgorithmsAgree: boolean
  readonly signature: Uint8Array
  readonly extensions: CrlExtensions
  readonly entries: Entries
}

interface CrlExtensions {
  readonly number?: bigint
  /** Present on delta CRLs: the number of the complete CRL they build on. */
  readonly baseNumber?: bigint
  readonly scope?: CrlScope
  readonly freshest?: readonly DistributionPoint[]
  readonly authorityKeyIdentifier?: AuthorityKeyIdentifier
  readonly unknownCritical: readonly string[]
}

interface Entries {
  /** Offset of each entry in `source`, by issuer and serial. */
  readonly offsets: ReadonlyMap<string, number>
  readonly source: Buffer
  readonly unknownCritical: readonly string[]
}

export class Crl implements Omit<CrlFields, 'extensions' | 'entries'> {
  readonly der: Uint8Array
  readonly tbs: Uint8Array
  readonly issuer: Name
  /** ms since the epoch. */
  readonly thisUpdate: number
  readonly nextUpdate: number | undefined
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signatureAlgorithmsAgree: boolean
  readonly signature: Uint8Array
  readonly number: bigint | undefined
  readonly baseNumber: bigint | undefined
  readonly scope: CrlScope | undefined
  /** Where the deltas to this list are found (RFC 5280 §5.2.6). */
  readonly freshest: readonly DistributionPoint[]
  readonly authorityKeyIdentifier: AuthorityKeyIdentifier | undefined
  /** Critical extensions, of the list or of an entry, that are not understood: such a CRL decides nothing (§5.2, §5.3). */
  readonly unknownCritical: readonly string[]
  readonly #entries: Entries
  #sha256: string | undefined

  private constructor({ extensions, entries, ...fields }: CrlFields) {
    this.der = fields.der
    this.tbs = fields.tbs
    this.issuer = fields.issuer
    this.thisUpdate = fields.thisUpdate
    this.nextUpdate = fields.nextUpdate
    this.signatureAlgorithm = fields.signatureAlgorithm
    this.signatureAlgorithmsAgree = fields.signatureAlgorithmsAgree
    this.signature = fields.signature
    this.number = extensions.number
    this.baseNumber = extensions.baseNumber
    this.scope = extensions.scope
    this.freshest = extensions.freshest ?? []
    this.authorityKeyIdentifier = extensions.authorityKeyIdentifier
    this.unknownCritical = [...extensions.unknownCritical, ...entries.unknownCritical]
    this.#entries = entries
  }

  /** See parseCrl. */
  static parse(bytes: Uint8Array): Crl {
    const reader = DerReader.over(new Uint8Array(bytes), MAX_CRL_BYTES)
    const crl = new Crl(readCrl(reader))
    reader.finish()
    return crl
  }

  get isDelta(): boolean {
    return this.baseNumber !== undefined
  }

  /** Lower-case hex digest of the DER. */
  get sha256(): string {
    this.#sha256 ??= hash('sha256', this.der, 'hex')
    return this.#sha256
  }

  /** Number of entries. */
  get size(): number {
    return this.#entries.offsets.size
  }

  /** The entry of the certificate with this issuer and these content octets of a serial number. */
  find(issuer: Name, serial: Uint8Array): CrlEntry | undefined {
    const { offsets, source } = this.#entries
    const offset = offsets.get(entryKey(issuer.key, serial))
    if (offset === undefined) return undefined
    return readEntry(new DerReader(source, offset, source.length, 0)).entry
  }
}

/** Parses one DER CRL, strictly. Throws ParseError. */
export function parseCrl(der: Uint8Array): Crl {
  return Crl.parse(der)
}

/** The CRL of a DER file, or every CRL of a PEM text. Throws ParseError when there is none. */
export function parseCrls(input: string | Uint8Array): Crl[] {
  if (typeof input !== 'string' && input[0] === Tag.sequence) return [parseCrl(input)]
  const text = typeof input === 'string' ? input : Buffer.from(input).toString('latin1')
  const blocks = decodePem(text, { maxLength: MAX_CRL_BYTES * 2 })
  const crls = blocks.filter(({ label }) => label === 'X509 CRL').map(({ der }) => parseCrl(der))
  if (crls.length === 0) throw new ParseError('no CRL found', 0)
  return crls
}

function readCrl(reader: DerReader): CrlFields {
  const list = reader.read(Tag.sequence)
  const outer = list.reader()
  const tbsValue = outer.read(Tag.sequence)
  const outerAlgorithm = outer.read(Tag.sequence)
  const signature = outer.read(Tag.bitString).octetsOfBitString()
  outer.finish()

  const tbs = tbsValue.reader()
  const version = tbs.readOptional(Tag.integer)
  if (version !== undefined && version.smallInteger() !== 1) version.fail('no such CRL version')
  const innerAlgorithm = tbs.read(Tag.sequence)
  const issuer = Name.from(tbs.read(Tag.sequence))
  const thisUpdate = tbs.readAny().time()
  const hasNextUpdate = tbs.peek() === Tag.utcTime || tbs.peek() === Tag.generalizedTime
  const nextUpdate = hasNextUpdate ? tbs.readAny().time() : undefined
  const revoked = tbs.readOptional(Tag.sequence)
  const wrapper = version === undefined ? undefined : tbs.readOptional(contextConstructed(0))
  tbs.finish()
  return {
    der: list.der,
    tbs: tbsValue.der,
    issuer,
    thisUpdate,
    nextUpdate,
    signatureAlgorithm: parseSignatureAlgorithm(outerAlgorithm),
    signatureAlgorithmsAgree: sameBytes(innerAlgorithm.der, outerAlgorithm.der),
    signature,
    extensions: readCrlExtensions(wrapper?.reader()),
    entries: readEntries(list.source, issuer, revoked),
  }
}

/** What may be critical and is obeyed (RFC 5280 §5.2). The CRL number must not be critical (§5.2.3). */
const ENFORCED = new Set<string>([ExtensionOid.issuingDistributionPoint, ExtensionOid.deltaCrlIndicator])

function readCrlExtensions(wrapper: DerReader | undefined): CrlExtensions {
  if (wrapper === undefined) return { unknownCritical: [] }
  const list = readExtensionList(wrapper.readSequence())
  wrapper.finish()
  if (new Set(list.map(({ oid }) => oid)).size !== list.length) throw wrapper.error('CRL with a duplicate extension')
  const read = <T>(oid: string, parse: (reader: DerReader) => T): T | undefined => {
    const reader = list.find((extension) => extension.oid === oid)?.value.wrapped()
    if (reader === undefined) return undefined
    const value = parse(reader)
    reader.finish()
    return value
  }
  const number = read(ExtensionOid.crlNumber, readNumber)
  const baseNumber = read(ExtensionOid.deltaCrlIndicator, readNumber)
  const scope = read(ExtensionOid.issuingDistributionPoint, readScope)
  const freshest = read(ExtensionOid.freshestCrl, parseDistributionPoints)
  const authorityKeyIdentifier = read(ExtensionOid.authorityKeyIdentifier, parseAuthorityKeyIdentifier)
  return {
    ...(number !== undefined && { number }),
    ...(baseNumber !== undefined && { baseNumber }),
    ...(scope !== undefined && { scope }),
    ...(freshest !== undefined && { freshest }),
    ...(authorityKeyIdentifier !== undefined && { authorityKeyIdentifier }),
    unknownCritical: list.filter(({ oid, critical }) => critical && !ENFORCED.has(oid)).map(({ oid }) => oid),
  }
}

/** RFC 5280 §5.2.3: not negative, at most 20 octets. */
function readNumber(reader: DerReader): bigint {
  const value = reader.read(Tag.integer)
  const octets = value.integer()
  if ((octets[0] ?? 0) >= 0x80 || octets.length > 20) value.fail('CRL number out of range')
  return BigInt(`0x${octets.toString('hex')}`)
}

function readScope(reader: DerReader): CrlScope {
  const value = reader.read(Tag.sequence)
  const fields = value.reader()
  const flag = (n: number): boolean => fields.readOptional(contextPrimitive(n))?.boolean() ?? false
  const name = readDistributionPointName(fields)
  const onlyUserCertificates = flag(1)
  const onlyCaCertificates = flag(2)
  const onlySomeReasons = fields.readOptional(contextPrimitive(3))?.namedBits()
  const indirect = flag(4)
  const onlyAttributeCertificates = flag(5)
  fields.finish()
  const { der } = value
  return { name, onlyUserCertificates, onlyCaCertificates, onlyAttributeCertificates, onlySomeReasons, indirect, der }
}

/** Every entry is read once, to find what must not be overlooked; what stays is where each one lies. */
function readEntries(source: Buffer, crlIssuer: Name, revoked: DerValue | undefined): Entries {
  const reader = revoked?.reader() ?? new DerReader(source, 0, 0, 0)
  const offsets = new Map<string, number>()
  const unknownCritical = new Set<string>()
  let issuerKey = crlIssuer.key
  while (!reader.atEnd) {
    const offset = reader.offset
    const { serial, extensions, issuer } = readEntry(reader)
    // RFC 5280 §5.3.3: on an indirect CRL the issuer stays that of the entry before, until another one is named.
    issuerKey = issuer?.key ?? issuerKey
    offsets.set(entryKey(issuerKey, serial), offset)
    for (const { oid, critical } of extensions) if (critical && !ENTRY_ENFORCED.has(oid)) unknownCritical.add(oid)
  }
  return { offsets, source, unknownCritical: [...unknownCritical] }
}

const ENTRY_ENFORCED = new Set<string>([ExtensionOid.reasonCode, ExtensionOid.certificateIssuer])

interface RawEntry {
  readonly serial: Uint8Array
  readonly entry: CrlEntry
  readonly issuer: Name | undefined
  readonly extensions: readonly Extension[]
}

function readEntry(reader: DerReader): RawEntry {
  const fields = reader.readSequence()
  const serial = fields.read(Tag.integer).integer()
  const revokedAt = fields.readAny().time()
  const extensions = fields.atEnd ? [] : readExtensionList(fields.readSequence())
  fields.finish()
  let reason: CrlReason = 'unspecified'
  let issuer: Name | undefined
  for (const { oid, value } of extensions) {
    if (oid === ExtensionOid.reasonCode) reason = readReason(value.wrapped())
    if (oid === ExtensionOid.certificateIssuer) issuer = readCertificateIssuer(value.wrapped())
  }
  return { serial, entry: { revokedAt, reason }, issuer, extensions }
}

function readReason(reader: DerReader): CrlReason {
  const value = reader.read(Tag.enumerated)
  reader.finish()
  return REASONS[value.smallInteger()] ?? value.fail('no such reason code')
}

function readCertificateIssuer(reader: DerReader): Name {
  const value = reader.read(Tag.sequence)
  const names = parseGeneralNames(value.reader())
  reader.finish()
  for (const name of names) if (name.kind === 'directory') return name.value
  return value.fail('certificateIssuer without a directory name')
}

function entryKey(issuerKey: string, serial: Uint8Array): string {
  return `${Buffer.from(serial).toString('latin1')}\u0000${issuerKey}`
}
