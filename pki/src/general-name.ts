import type { DerReader, DerValue } from './der.ts'
import { contextConstructed, contextPrimitive, Tag } from './der.ts'
import { decodeAscii } from './directory-string.ts'
import { Name } from './name.ts'

/** RFC 5280 §4.2.1.6. Values are as encoded; whether a DNS name or an address is well formed is for its reader to judge. */
export type GeneralName =
  | { readonly kind: 'email' | 'dns' | 'uri'; readonly value: string }
  | { readonly kind: 'ip'; readonly value: Uint8Array }
  | { readonly kind: 'directory'; readonly value: Name }
  | { readonly kind: 'registeredId'; readonly value: string }
  | { readonly kind: 'otherName'; readonly type: string; readonly value: Uint8Array }
  | { readonly kind: 'x400Address' | 'ediPartyName'; readonly value: Uint8Array }

export type GeneralNameKind = GeneralName['kind']

/** The names of one SEQUENCE OF GeneralName. 10,000 names pass here and meet their limit where they are compared. */
export function parseGeneralNames(reader: DerReader): GeneralName[] {
  const names: GeneralName[] = []
  while (!reader.atEnd) names.push(parseGeneralName(reader.readAny()))
  return names
}

export function parseGeneralName(value: DerValue): GeneralName {
  switch (value.tag) {
    case contextConstructed(0):
      return parseOtherName(value)
    case contextPrimitive(1):
      return { kind: 'email', value: decodeAscii(value) }
    case contextPrimitive(2):
      return { kind: 'dns', value: decodeAscii(value) }
    case contextConstructed(3):
      return { kind: 'x400Address', value: value.der }
    case contextConstructed(4): {
      // Name is a CHOICE, so [4] is explicit around it.
      const reader = value.reader()
      const name = Name.from(reader.read(Tag.sequence))
      reader.finish()
      return { kind: 'directory', value: name }
    }
    case contextConstructed(5):
      return { kind: 'ediPartyName', value: value.der }
    case contextPrimitive(6):
      return { kind: 'uri', value: decodeAscii(value) }
    case contextPrimitive(7):
      return { kind: 'ip', value: value.content }
    case contextPrimitive(8):
      return { kind: 'registeredId', value: value.oid() }
    default:
      return value.fail('no such GeneralName')
  }
}

function parseOtherName(value: DerValue): GeneralName {
  const reader = value.reader()
  const type = reader.read(Tag.oid).oid()
  const content = reader.read(contextConstructed(0))
  reader.finish()
  return { kind: 'otherName', type, value: content.content }
}
