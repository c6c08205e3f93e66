import type { DerReader, DerValue } from './der.ts'
import { contextConstructed, contextPrimitive, Tag } from './der.ts'
import type { GeneralName } from './general-name.ts'
import { parseGeneralName, parseGeneralNames } from './general-name.ts'
import { ExtensionOid } from './oid.ts'
import type { DistributionPoint } from './distribution-point.ts'
import { parseDistributionPoints } from './distribution-point.ts'

/** RFC 5280 §4.2.1.3: bit numbers of KeyUsage. */
export const KeyUsageBit = {
  digitalSignature: 0,
  nonRepudiation: 1,
  keyEncipherment: 2,
  dataEncipherment: 3,
  keyAgreement: 4,
  keyCertSign: 5,
  cRLSign: 6,
  encipherOnly: 7,
  decipherOnly: 8,
} as const
export type KeyUsage = keyof typeof KeyUsageBit

export interface Extension {
  readonly oid: string
  readonly critical: boolean
  /** Content of extnValue. */
  readonly value: DerValue
}

interface BasicConstraints {
  readonly ca: boolean
  readonly pathLength: number | undefined
}

export interface AuthorityKeyIdentifier {
  readonly keyIdentifier: Uint8Array | undefined
}

export interface GeneralSubtree {
  readonly base: GeneralName
  /** RFC 5280 §4.2.1.10: minimum is zero and maximum absent; anything else has no defined meaning there. */
  readonly bounded: boolean
}

export interface NameConstraints {
  readonly permitted: readonly GeneralSubtree[]
  readonly excluded: readonly GeneralSubtree[]
}

export interface PolicyMapping {
  readonly issuerDomainPolicy: string
  readonly subjectDomainPolicy: string
}

interface PolicyConstraints {
  readonly requireExplicitPolicy: number | undefined
  readonly inhibitPolicyMapping: number | undefined
}

/** Typed extensions (RFC 5280 §4.2). An absent extension is undefined, an empty one is empty: they differ. */
export interface Extensions {
  readonly list: readonly Extension[]
  /** OIDs that occur more than once; the typed fields then hold the first occurrence. */
  readonly duplicates: readonly string[]
  /** OIDs of critical extensions that path validation does not process. */
  readonly unknownCritical: readonly string[]
  readonly basicConstraints?: BasicConstraints
  /** Bits as numbered in KeyUsageBit. */
  readonly keyUsage?: number
  readonly extKeyUsage?: readonly string[]
  readonly subjectAltName?: readonly GeneralName[]
  readonly subjectKeyIdentifier?: Uint8Array
  readonly authorityKeyIdentifier?: AuthorityKeyIdentifier
  readonly nameConstraints?: NameConstraints
  readonly certificatePolicies?: readonly string[]
  readonly policyMappings?: readonly PolicyMapping[]
  readonly policyConstraints?: PolicyConstraints
  readonly inhibitAnyPolicy?: number
  readonly crlDistributionPoints?: readonly DistributionPoint[]
  readonly freshestCrl?: readonly DistributionPoint[]
  readonly authorityInfoAccess?: readonly AccessDescription[]
}

interface AccessDescription {
  readonly method: string
  readonly location: GeneralName
}

type Typed = { -readonly [K in keyof Omit<Extensions, 'list' | 'duplicates' | 'unknownCritical'>]: Extensions[K] }

/** One reader for each extension we know; `enforced` marks those whose meaning path validation or revocation obeys. */
const KNOWN = new Map<string, { enforced: boolean; parse: (into: Typed, value: DerReader) => void }>([
  [ExtensionOid.basicConstraints, { enforced: true, parse: (t, r) => void (t.basicConstraints = basicConstraints(r)) }],
  [ExtensionOid.keyUsage, { enforced: true, parse: (t, r) => void (t.keyUsage = r.read(Tag.bitString).namedBits()) }],
  [ExtensionOid.extKeyUsage, { enforced: true, parse: (t, r) => void (t.extKeyUsage = extKeyUsage(r)) }],
  [ExtensionOid.subjectAltName, { enforced: true, parse: (t, r) => void (t.subjectAltName = subjectAltName(r)) }],
  [ExtensionOid.nameConstraints, { enforced: true, parse: (t, r) => void (t.nameConstraints = nameConstraints(r)) }],
  [ExtensionOid.certificatePolicies, { enforced: true, parse: (t, r) => void (t.certificatePolicies = policies(r)) }],
  [ExtensionOid.policyMappings, { enforced: true, parse: (t, r) => void (t.policyMappings = policyMappings(r)) }],
  [
    ExtensionOid.policyConstraints,
    { enforced: true, parse: (t, r) => void (t.policyConstraints = policyConstraints(r)) },
  ],
  [
    ExtensionOid.inhibitAnyPolicy,
    { enforced: true, parse: (t, r) => void (t.inhibitAnyPolicy = r.read(Tag.integer).smallInteger()) },
  ],
  [
    ExtensionOid.crlDistributionPoints,
    { enforced: true, parse: (t, r) => void (t.crlDistributionPoints = parseDistributionPoints(r)) },
  ],
  // The rest are hints. RFC 5280 forbids to mark them critical, and a certificate that does so demands what we do not do.
  [ExtensionOid.freshestCrl, { enforced: false, parse: (t, r) => void (t.freshestCrl = parseDistributionPoints(r)) }],
  [
    ExtensionOid.subjectKeyIdentifier,
    { enforced: false, parse: (t, r) => void (t.subjectKeyIdentifier = r.read(Tag.octetString).content) },
  ],
  [
    ExtensionOid.authorityKeyIdentifier,
    { enforced: false, parse: (t, r) => void (t.authorityKeyIdentifier = parseAuthorityKeyIdentifier(r)) },
  ],
  [
    ExtensionOid.authorityInfoAccess,
    { enforced: false, parse: (t, r) => void (t.authorityInfoAccess = accessDescriptions(r)) },
  ],
])

export const NO_EXTENSIONS: Extensions = { list: [], duplicates: [], unknownCritical: [] }

/** A certificate carries about ten; the cap keeps the search for duplicates cheap. */
const MAX_EXTENSIONS = 100

/** Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension, split but not interpreted. Shared with CRLs. */
export function readExtensionList(reader: DerReader): Extension[] {
  const list: Extension[] = []
  do {
    if (list.length === MAX_EXTENSIONS) reader.read(Tag.sequence).fail(`more than ${MAX_EXTENSIONS} extensions`)
    const fields = reader.readSequence()
    const oid = fields.read(Tag.oid).oid()
    // DER omits a DEFAULT value, yet an explicit FALSE is common in the field and cannot be misread.
    const critical = fields.readOptional(Tag.boolean)?.boolean() ?? false
    const value = fields.read(Tag.octetString)
    fields.finish()
    list.push({ oid, critical, value })
  } while (!reader.atEnd)
  return list
}

export function parseExtensions(value: DerValue): Extensions {
  const list = readExtensionList(value.reader())
  const typed: Typed = {}
  const seen = new Set<string>()
  const duplicates: string[] = []
  const unknownCritical: string[] = []
  for (const extension of list) {
    if (seen.has(extension.oid)) {
      duplicates.push(extension.oid)
      continue
    }
    seen.add(extension.oid)
    const known = KNOWN.get(extension.oid)
    if (extension.critical && !known?.enforced) unknownCritical.push(extension.oid)
    if (known === undefined) continue
    const reader = extension.value.wrapped()
    known.parse(typed, reader)
    reader.finish()
  }
  return { list, duplicates, unknownCritical, ...typed }
}

function basicConstraints(reader: DerReader): BasicConstraints {
  const fields = reader.readSequence()
  const ca = fields.readOptional(Tag.boolean)?.boolean() ?? false
  const pathLength = fields.readOptional(Tag.integer)?.smallInteger()
  fields.finish()
  return { ca, pathLength }
}

/** An empty list breaks SIZE (1..MAX) but is kept: it allows no purpose at all, which is how it is judged. */
function extKeyUsage(reader: DerReader): string[] {
  return sequenceOf(reader, (fields) => fields.read(Tag.oid).oid())
}

function subjectAltName(reader: DerReader): GeneralName[] {
  const value = reader.read(Tag.sequence)
  const names = parseGeneralNames(value.reader())
  if (names.length === 0) value.fail('empty subjectAltName')
  return names
}

function nameConstraints(reader: DerReader): NameConstraints {
  const fields = reader.readSequence()
  const permitted = fields.readOptional(contextConstructed(0))
  const excluded = fields.readOptional(contextConstructed(1))
  fields.finish()
  return { permitted: subtrees(permitted), excluded: subtrees(excluded) }
}

function subtrees(value: DerValue | undefined): GeneralSubtree[] {
  if (value === undefined) return []
  const reader = value.reader()
  const list: GeneralSubtree[] = []
  while (!reader.atEnd) {
    const fields = reader.readSequence()
    const base = parseGeneralName(fields.readAny())
    list.push({ base, bounded: !fields.atEnd })
  }
  if (list.length === 0) value.fail('empty list of subtrees')
  return list
}

function policies(reader: DerReader): string[] {
  const list = sequenceOf(reader, (fields) => {
    const information = fields.readSequence()
    const oid = information.read(Tag.oid).oid()
    information.readOptional(Tag.sequence)
    information.finish()
    return oid
  })
  // RFC 5280 §4.2.1.4: a policy must not appear twice.
  if (list.length === 0 || new Set(list).size !== list.length) {
    throw reader.error('certificatePolicies is empty or repeats a policy')
  }
  return list
}

function policyMappings(reader: DerReader): PolicyMapping[] {
  const list = sequenceOf(reader, (fields) => {
    const mapping = fields.readSequence()
    const issuerDomainPolicy = mapping.read(Tag.oid).oid()
    const subjectDomainPolicy = mapping.read(Tag.oid).oid()
    mapping.finish()
    return { issuerDomainPolicy, subjectDomainPolicy }
  })
  if (list.length === 0) throw reader.error('empty policyMappings')
  return list
}

function policyConstraints(reader: DerReader): PolicyConstraints {
  const value = reader.read(Tag.sequence)
  const fields = value.reader()
  const requireExplicitPolicy = fields.readOptional(contextPrimitive(0))?.smallInteger()
  const inhibitPolicyMapping = fields.readOptional(contextPrimitive(1))?.smallInteger()
  fields.finish()
  // RFC 5280 §4.2.1.11: an empty sequence must not be issued, since its meaning is unclear.
  if (requireExplicitPolicy === undefined && inhibitPolicyMapping === undefined) value.fail('empty policyConstraints')
  return { requireExplicitPolicy, inhibitPolicyMapping }
}

/** Only the key identifier matters: it orders candidates, it never decides. */
export function parseAuthorityKeyIdentifier(reader: DerReader): AuthorityKeyIdentifier {
  const fields = reader.readSequence()
  const keyIdentifier = fields.readOptional(contextPrimitive(0))?.content
  fields.readOptional(contextConstructed(1))
  fields.readOptional(contextPrimitive(2))
  fields.finish()
  return { keyIdentifier }
}

function accessDescriptions(reader: DerReader): AccessDescription[] {
  return sequenceOf(reader, (fields) => {
    const description = fields.readSequence()
    const method = description.read(Tag.oid).oid()
    const location = parseGeneralName(description.readAny())
    description.finish()
    return { method, location }
  })
}

function sequenceOf<T>(reader: DerReader, parse: (fields: DerReader) => T): T[] {
  const fields = reader.readSequence()
  const list: T[] = []
  while (!fields.atEnd) list.push(parse(fields))
  return list
}
