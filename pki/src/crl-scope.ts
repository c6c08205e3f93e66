import type { Certificate } from './certificate.ts'
import type { Crl } from './crl.ts'
import type { DistributionPoint, DistributionPointName } from './distribution-point.ts'
import type { GeneralName } from './general-name.ts'
import type { Name } from './name.ts'
import { attributesKey } from './name.ts'

/** Whether a CRL speaks of a certificate at all, and of which reasons (RFC 5280 §6.3.3 (b) to (e)). */

/** ReasonFlags 1 (keyCompromise) to 8 (aACompromise); bit 0 is unused. */
export const ALL_REASONS = 0b1_1111_1110

/**
 * The distribution points to look at: those that the certificate names, then the one that every certificate has, which is
 * whatever its issuer publishes under its own name (§6.3.3, last paragraph).
 */
export function distributionPoints({ issuer, extensions }: Certificate): DistributionPoint[] {
  const implicit: DistributionPointName = { kind: 'full', names: [{ kind: 'directory', value: issuer }] }
  const last: DistributionPoint = { name: implicit, reasons: undefined, crlIssuer: undefined }
  return [...(extensions.crlDistributionPoints ?? []), last]
}

/** Names under which CRLs for this distribution point may be issued. */
export function crlIssuers(certificate: Certificate, point: DistributionPoint): Name[] {
  if (point.crlIssuer === undefined) return [certificate.issuer]
  return point.crlIssuer.flatMap((name) => (name.kind === 'directory' ? [name.value] : []))
}

/** The reasons, as ReasonFlags bits, for which the CRL answers for the certificate at this point; 0: it does not. */
export function reasonsCovered(crl: Crl, certificate: Certificate, point: DistributionPoint): number {
  const { scope } = crl
  // (b)(1): under a name other than the certificate issuer's only an indirect CRL speaks.
  if (!crlIssuers(certificate, point).some((name) => name.key === crl.issuer.key)) return 0
  if (point.crlIssuer !== undefined && scope?.indirect !== true) return 0
  const wanted = (point.reasons ?? ALL_REASONS) & ALL_REASONS
  if (scope === undefined) return wanted
  // (b)(2)
  if (scope.onlyAttributeCertificates) return 0
  if (scope.onlyUserCertificates && certificate.isCa) return 0
  if (scope.onlyCaCertificates && !certificate.isCa) return 0
  if (scope.name !== undefined && !sharesName(crl, scope.name, certificate, point)) return 0
  // (d)
  return (scope.onlySomeReasons ?? ALL_REASONS) & wanted
}

/** (b)(2)(i): the CRL's distribution point is among the certificate's; relative names are completed first. */
function sharesName(
  crl: Crl,
  scopeName: DistributionPointName,
  certificate: Certificate,
  point: DistributionPoint,
): boolean {
  const offered = nameKeys(scopeName, crl.issuer)
  const pointIssuer = crlIssuers(certificate, point)[0] ?? certificate.issuer
  const wanted =
    point.name === undefined ? (point.crlIssuer ?? []).map(generalNameKey) : nameKeys(point.name, pointIssuer)
  return offered.some((key) => wanted.includes(key))
}

function nameKeys(name: DistributionPointName, issuer: Name): string[] {
  if (name.kind === 'full') return name.names.map(generalNameKey)
  return [`directory:${[...issuer.rdnKeys, attributesKey(name.rdn)].join('\u0001')}`]
}

function generalNameKey(name: GeneralName): string {
  if (name.kind === 'directory') return `directory:${name.value.key}`
  if (typeof name.value === 'string') return `${name.kind}:${name.value}`
  return `${name.kind}:${Buffer.from(name.value).toString('hex')}`
}
