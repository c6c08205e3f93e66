import type { HubName } from './ids.ts'

/** The door that refused. */
export type RefusalArea =
  | 'tls'
  | 'connect'
  | 'provisioning'
  | 'certificate-authority'
  | 'token'
  | 'http'
  | 'events'
  | 'telemetry'

/** One line of the refused chain, safe to show. */
export interface CertificateSummary {
  readonly subject: string
  readonly issuer: string
  /** Hex. */
  readonly serial: string
  readonly notBefore: number
  readonly notAfter: number
  readonly sha256: string
}

/**
 * The closed set of reasons. Path rules of `@holdfast/pki` (`TrustRule`) appear prefixed with `chain:`; the rest are
 * decided by the hub and the provisioning service. Each has a page in docs/errors.md.
 */
export type RefusalRule = `chain:${string}` | (typeof REFUSAL_RULES)[number]

export const REFUSAL_RULES = [
  'tls-handshake-failed',
  'tls-not-spoken',
  'tls-version-unsupported',
  'tls-cipher-mismatch',
  'server-certificate-refused',
  'protocol-violation',
  'connect-timeout',
  'hub-name-unknown',
  'client-id-mismatch',
  'device-id-invalid',
  'device-unknown',
  'device-disabled',
  'device-quarantined',
  'identity-in-use',
  'credential-missing',
  'credential-kind-mismatch',
  'client-certificate-missing',
  'common-name-mismatch',
  'common-name-not-single',
  'certificate-expired',
  'certificate-not-yet-valid',
  'thumbprint-mismatch',
  'authority-unverified',
  'authority-of-another-hub',
  'token-malformed',
  'token-expired',
  'token-signature-wrong',
  'token-resource-mismatch',
  'token-policy-unknown',
  'token-right-missing',
  'token-missing',
  'scope-unknown',
  'enrollment-unknown',
  'enrollment-disabled',
  'enrollment-deleted',
  'enrollment-credential-replaced',
  'device-revoked',
  'authority-removed',
  'registration-id-mismatch',
  'attestation-mismatch',
  'allocation-failed',
  'request-malformed',
  'request-too-large',
  'possession-refused',
  'authority-refused',
  'message-not-sealed',
  'message-seal-malformed',
  'message-signer-unknown',
  'message-of-another-device',
  'message-replayed',
  'message-signature-wrong',
  'throttled',
] as const

/** What the operator sees of a refused attempt. Text fields are cut and stripped of control characters. */
export interface Refusal {
  /** Shown to the device where the protocol has room; 32 hex digits. */
  readonly trackingId: string
  readonly time: number
  readonly area: RefusalArea
  readonly hub: HubName | null
  readonly protocol: string
  readonly peer: { readonly address: string; readonly port: number }
  /** What the peer claimed to be: device id, registration id, policy name. */
  readonly identity: string
  readonly rule: RefusalRule
  /** Which certificate or value broke the rule, for a person. */
  readonly message: string
  /** What to do about it. */
  readonly remedy: string
  readonly chain: readonly CertificateSummary[]
  readonly evidence: Readonly<Record<string, string>>
}
