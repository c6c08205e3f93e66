import type { DerReader } from './der.ts'
import { contextConstructed, contextPrimitive } from './der.ts'
import type { GeneralName } from './general-name.ts'
import { parseGeneralNames } from './general-name.ts'
import type { Rdn } from './name.ts'
import { parseRdn } from './name.ts'

/** RFC 5280 §4.2.1.13. A relative name extends the name of the CRL issuer. */
export type DistributionPointName =
  | { readonly kind: 'full'; readonly names: readonly GeneralName[] }
  | { readonly kind: 'relative'; readonly rdn: Rdn }

export interface DistributionPoint {
  readonly name: DistributionPointName | undefined
  /** ReasonFlags bits, bit 0 unused, 1 keyCompromise … 8 aACompromise; undefined: all reasons. */
  readonly reasons: number | undefined
  readonly crlIssuer: readonly GeneralName[] | undefined
}

export function parseDistributionPoints(reader: DerReader): DistributionPoint[] {
  const points = reader.readSequence()
  const list: DistributionPoint[] = []
  while (!points.atEnd) list.push(parseDistributionPoint(points.readSequence()))
  return list
}

function parseDistributionPoint(fields: DerReader): DistributionPoint {
  const name = readDistributionPointName(fields)
  const reasons = fields.readOptional(contextPrimitive(1))?.namedBits()
  const issuer = fields.readOptional(contextConstructed(2))
  const crlIssuer = issuer === undefined ? undefined : parseGeneralNames(issuer.reader())
  fields.finish()
  return { name, reasons, crlIssuer }
}

/** [0] EXPLICIT DistributionPointName, as both CRL distribution points and issuing distribution points carry it. */
export function readDistributionPointName(fields: DerReader): DistributionPointName | undefined {
  const wrapper = fields.readOptional(contextConstructed(0))
  if (wrapper === undefined) return undefined
  const choice = wrapper.reader()
  const value = choice.readAny()
  choice.finish()
  switch (value.tag) {
    case contextConstructed(0):
      return { kind: 'full', names: parseGeneralNames(value.reader()) }
    case contextConstructed(1):
      return { kind: 'relative', rdn: parseRdn(value) }
    default:
      return value.fail('no such DistributionPointName')
  }
}
