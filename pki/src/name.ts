import { DerReader, Tag } from './der.ts'
import type { DerValue } from './der.ts'
import { decodeString } from './directory-string.ts'
import { AttributeOid } from './oid.ts'

export interface Attribute {
  readonly type: string
  /** Decoded text as it stands in the certificate; undefined when the value is a BIT STRING. */
  readonly text: string | undefined
  /** The value as encoded. */
  readonly value: DerValue
}

/** Usually one attribute; more when the RDN is multi-valued. */
export type Rdn = readonly Attribute[]

/** A distinguished name holds a handful of RDNs; more than this serves only to make comparing costly. */
const MAX_RDNS = 64
const MAX_ATTRIBUTES_PER_RDN = 16

/** A distinguished name (RFC 5280 §4.1.2.4): its bytes, its parts, and a key by which names compare. */
export class Name {
  readonly der: Uint8Array
  readonly rdns: readonly Rdn[]
  #rdnKeys: readonly string[] | undefined
  #key: string | undefined

  private constructor(der: Uint8Array, rdns: readonly Rdn[]) {
    this.der = der
    this.rdns = rdns
  }

  static parse(der: Uint8Array): Name {
    const reader = DerReader.over(der)
    const name = Name.from(reader.read(Tag.sequence))
    reader.finish()
    return name
  }

  static from(value: DerValue): Name {
    const reader = value.reader()
    const rdns: Rdn[] = []
    while (!reader.atEnd) {
      if (rdns.length === MAX_RDNS) value.fail(`name of more than ${MAX_RDNS} RDNs`)
      rdns.push(parseRdn(reader.read(Tag.set)))
    }
    return new Name(value.der, rdns)
  }

  get isEmpty(): boolean {
    return this.rdns.length === 0
  }

  /** Values of every commonName, exactly as encoded: case, blanks and control characters included. */
  get commonNames(): readonly string[] {
    return this.texts(AttributeOid.CN)
  }

  texts(type: string): string[] {
    return this.rdns.flat().flatMap((a) => (a.type === type && a.text !== undefined ? [a.text] : []))
  }

  /** Two names match (RFC 5280 §7.1) exactly when their keys are equal. For lookups, never for display. */
  get key(): string {
    this.#key ??= this.rdnKeys.join('\u0001')
    return this.#key
  }

  /** One key for each RDN, for comparing by prefix (name constraints). */
  get rdnKeys(): readonly string[] {
    this.#rdnKeys ??= this.rdns.map(attributesKey)
    return this.#rdnKeys
  }

  /** RFC 4514 form, for display only; control and invisible characters are escaped. */
  toString(): string {
    return this.rdns
      .toReversed()
      .map((rdn) => rdn.map(displayAttribute).join('+'))
      .join(',')
  }
}

/** RelativeDistinguishedName; `set` may carry an implicit tag. */
export function parseRdn(set: DerValue): Rdn {
  const reader = set.reader()
  if (reader.atEnd) set.fail('empty RDN')
  const attributes: Attribute[] = []
  while (!reader.atEnd) {
    if (attributes.length === MAX_ATTRIBUTES_PER_RDN) set.fail('RDN of too many attributes')
    const fields = reader.readSequence()
    const type = fields.read(Tag.oid).oid()
    const value = fields.readAny()
    fields.finish()
    const text = decodeString(value)
    if (text === undefined) checkOtherType(value)
    attributes.push({ type, text, value })
  }
  return attributes
}

/** x500UniqueIdentifier is the one attribute in use whose value is no string. */
function checkOtherType(value: DerValue): void {
  if (value.tag !== Tag.bitString) value.fail('attribute value that is neither a string nor a BIT STRING')
  value.checkBitString()
}

/** The comparison key of one RDN. */
export function attributesKey(rdn: Rdn): string {
  const [only] = rdn
  if (rdn.length === 1 && only !== undefined) return attributeKey(only)
  return rdn.map(attributeKey).toSorted().join('\u0002')
}

function attributeKey({ type, text, value }: Attribute): string {
  // RFC 5280 §7.1: values of types we cannot prepare compare by their bytes.
  if (text === undefined) return `${type}#${value.der.toString('hex')}`
  return `${type}=${prepareString(text)}`
}

const PLAIN = /^[a-z0-9._:/@-]*$/
/** Words of ASCII letters and the like, one space between them: nothing about them is insignificant. */
const WORDS = /^[a-z0-9._:/@+()&'-]+(?: [a-z0-9._:/@+()&'-]+)*$/
/** RFC 4518 §2.2: control, formatting and variation characters map to nothing, except those that map to a space. */
const MAPPED_TO_NOTHING = /(?![\t-\r\u0085])[\p{Cc}\p{Cf}\p{Variation_Selector}]/gu

/** LDAP string preparation with case folding (RFC 4518 §2, as RFC 5280 §7.1 asks): what is insignificant disappears. */
function prepareString(text: string): string {
  const lower = text.toLowerCase()
  if (PLAIN.test(lower) || WORDS.test(lower)) return lower
  return text
    .replace(MAPPED_TO_NOTHING, '')
    .normalize('NFKC')
    .toLowerCase()
    .normalize('NFKC')
    .replace(/[\s\u0085]+/gu, ' ')
    .trim()
}

const SHORT_NAMES = new Map<string, string>(Object.entries(AttributeOid).map(([name, oid]) => [oid, name]))

function displayAttribute({ type, text, value }: Attribute): string {
  const name = SHORT_NAMES.get(type) ?? type
  return text === undefined ? `${name}=#${value.der.toString('hex')}` : `${name}=${escapeText(text)}`
}

/** ASCII that stands for itself wherever it stands. */
const UNESCAPED = /^[A-Za-z0-9._:/@()&'*?!$%=-]+(?: [A-Za-z0-9._:/@()&'*?!$%=-]+)*$/

/** RFC 4514 §2.4, plus every character that a terminal or an eye would not show as itself. */
export function escapeText(text: string): string {
  if (UNESCAPED.test(text)) return text
  return text
    .replace(/[\\"+,;<>]|^[ #]| $/g, (c) => `\\${c}`)
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => Buffer.from(c, 'utf8').toString('hex').replace(/../g, '\\$&'))
}
