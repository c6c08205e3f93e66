import type { Certificate } from './certificate.ts'

/**
 * Why a path was refused: a closed list, ordered from the least to the most telling. Several candidate paths usually
 * fail for several reasons; the one that got furthest towards trust explains most, so the later rule is reported.
 */
const RULES = [
  'issuer-not-found',
  'budget-exceeded',
  'anchor-as-leaf',
  'untrusted-root',
  'algorithm-mismatch',
  'signature-invalid',
  'anchor-key-mismatch',
  'malformed-certificate',
  'weak-signature',
  'weak-key',
  'unsupported-algorithm',
  'duplicate-extension',
  'unknown-critical-extension',
  'profile-violation',
  'not-a-ca',
  'path-length-exceeded',
  'key-usage',
  'extended-key-usage',
  'name-constraints',
  'certificate-policy',
  'not-yet-valid',
  'expired',
  'revocation-unknown',
  'revoked',
] as const

export type TrustRule = (typeof RULES)[number]

/** Every rule, for documentation and for tables that must be total. */
export const trustRules: readonly TrustRule[] = RULES

export interface CertificateSummary {
  /** RFC 4514 text, for display. */
  readonly subject: string
  readonly issuer: string
  /** Lower-case hex. */
  readonly serial: string
  /** ms since the epoch. */
  readonly notBefore: number
  readonly notAfter: number
  readonly sha256: string
  /** Place in the candidate path: 0 is the leaf. */
  readonly position: number
}

/** A refusal, as a value: which rule, on which certificate, and what a person can do about it. */
export interface TrustError {
  readonly kind: 'trust-error'
  readonly rule: TrustRule
  readonly certificate?: CertificateSummary
  readonly message: string
  readonly remedy: string
  readonly evidence?: Readonly<Record<string, string>>
}

/** What a check finds wrong; `at` adds where. */
export interface Finding {
  readonly rule: TrustRule
  /** What is wrong with the certificate, to follow its name: "expired on …". */
  readonly problem: string
  readonly remedy: string
  readonly evidence?: Readonly<Record<string, string>>
}

export function summarize(certificate: Certificate, position: number): CertificateSummary {
  const { notBefore, notAfter, sha256 } = certificate
  const subject = clip(certificate.subject.toString())
  const issuer = clip(certificate.issuer.toString())
  return { subject, issuer, serial: certificate.serialHex, notBefore, notAfter, sha256, position }
}

/** The refusal that a finding about the certificate at `position` of a candidate path amounts to. */
export function refusal(finding: Finding, certificate: Certificate, position: number): TrustError {
  const { rule, problem, remedy, evidence } = finding
  const message = `${describe(certificate, position)} ${problem}`
  const summary = summarize(certificate, position)
  return { kind: 'trust-error', rule, certificate: summary, message, remedy, ...(evidence && { evidence }) }
}

function describe(certificate: Certificate, position: number): string {
  if (position === 0) return `certificate ${displayName(certificate)}`
  return `${certificate.isCa ? 'CA' : 'issuing'} certificate ${displayName(certificate)}`
}

/** The common name where there is one, in quotes; otherwise the whole subject. */
export function displayName({ subject, serialHex }: Certificate): string {
  if (subject.isEmpty) return `without a subject (serial ${serialHex})`
  return `"${clip(subject.toString())}"`
}

/** Strangers choose their names; what is shown and stored of one is bounded. RFC 5280's own bound for a CN is 64. */
const MAX_SHOWN = 256

export function clip(text: string): string {
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}…`
}

export function isMoreTelling(a: TrustError, b: TrustError | undefined): boolean {
  return b === undefined || RULES.indexOf(a.rule) > RULES.indexOf(b.rule)
}

export function isTrustError(value: object): value is TrustError {
  return 'kind' in value && value.kind === 'trust-error'
}

/** ISO 8601 in whole seconds, for messages. */
export const instant = (ms: number): string =>
  Number.isFinite(ms) ? new Date(ms).toISOString().replace('.000Z', 'Z') : String(ms)

const UNITS = [
  [24 * 60 * 60 * 1000, 'd'],
  [60 * 60 * 1000, 'h'],
  [60 * 1000, 'min'],
  [1000, 's'],
] as const

/** A length of time in its two largest units, for messages: `3 d 4 h`, `5 min`, `0 s`. */
export function span(ms: number): string {
  if (!Number.isFinite(ms)) return 'for ever'
  const parts: string[] = []
  let rest = Math.abs(ms)
  for (const [size, unit] of UNITS) {
    const amount = Math.floor(rest / size)
    rest -= amount * size
    if (amount > 0 || (unit === 's' && parts.length === 0)) parts.push(`${amount} ${unit}`)
    if (parts.length === 2) break
  }
  return parts.join(' ')
}
