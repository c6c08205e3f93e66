import type { RevocationPolicy, RevocationReason } from '@holdfast/pki'
import type { DeviceId, HubName } from './ids.ts'

export const REVOCATION_REASONS = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'privilegeWithdrawn',
  'aACompromise',
] as const satisfies readonly RevocationReason[]

/** What an operator takes the trust from. */
export type RevocationTarget =
  /** One certificate; of a CA, its whole subtree too. `issuer` and `serial` (hex) are for people. */
  | { readonly kind: 'certificate'; readonly certificateId: string; readonly issuer: string; readonly serial: string }
  /** Lower-case hex SHA-1 or SHA-256 of a certificate. */
  | { readonly kind: 'thumbprint'; readonly thumbprint: string }
  /** A CA by the SHA-256 of its public key info: whatever certificates there are for that key, renewed or cross-signed. */
  | { readonly kind: 'authority'; readonly key: string; readonly subject: string }
  /** This generation of a device: one that is made anew under the same id is another. */
  | { readonly kind: 'device'; readonly deviceId: DeviceId; readonly generationId: string }

/** A decision of an operator, at one hub; the provisioning service obeys those of its home hub. */
export interface Revocation {
  readonly kind: 'revocation'
  readonly hub: HubName
  /** Made from the target: one row for each. */
  readonly id: string
  readonly etag: string
  readonly target: RevocationTarget
  readonly reason: RevocationReason
  /** ms. */
  readonly revokedAt: number
  /** Who decided, for people. */
  readonly by: string
  /** The revocation that brought this one about, e.g. of the device whose certificate this is. */
  readonly because: string | null
  /** ms; only a `certificateHold` is ever lifted (RFC 5280 §5.3.1). */
  readonly liftedAt: number | null
}

/** The newest CRL of one CA key, scope and kind (complete or delta). */
export interface StoredCrl {
  readonly kind: 'crl'
  readonly hub: HubName
  readonly id: string
  readonly etag: string
  /** Last part of the path it is served under. */
  readonly file: string
  readonly issuer: string
  /** Decimal. */
  readonly number: string
  readonly baseNumber: string | null
  readonly thisUpdate: number
  readonly nextUpdate: number | null
  readonly entries: number
  /** Where it was fetched from; null when an operator imported it. */
  readonly url: string | null
  readonly receivedAt: number
  readonly certificate: Uint8Array
}

/** How a hub treats the certificates that one CA issued; absent rows mean DEFAULT_RULE. */
export interface RevocationRule {
  readonly kind: 'rule'
  readonly hub: HubName
  /** SHA-256 of the CA's public key info. */
  readonly id: string
  readonly etag: string
  readonly subject: string
  readonly policy: RevocationPolicy
  /** Where to fetch CRLs besides what the certificates of verified paths name. */
  readonly crlUrls: readonly string[]
  /** Fetch from the distribution points that certificates under this CA name. */
  readonly fetch: boolean
  /** Ask the CA's OCSP responder about device certificates: at this address, or at the one the certificate names. */
  readonly ocsp: { readonly url: string | null } | null
}

/** A CA certificate of a path that was verified once: what signs CRLs, and what a provenance refers to. */
export interface KnownAuthority {
  readonly kind: 'authority'
  readonly hub: HubName
  /** See `knownAuthorityId`. */
  readonly id: string
  readonly etag: string
  /** SHA-256 of the anchor of the path; null when an operator chose it. Absent in records before anchors were noted. */
  readonly anchor?: string | null
  readonly certificate: Uint8Array
}

/** Of a record with an anchor, from the SHA-256 of both certificates. */
export function knownAuthorityId(sha256: string, anchor: string | null): string {
  return anchor === null ? sha256 : `${sha256}/${anchor}`
}

export type RevocationRecord = Revocation | StoredCrl | RevocationRule | KnownAuthority
export type RevocationRecordKind = RevocationRecord['kind']
/** A record as stored, with the place of its last change in the order of all changes. */
export type SequencedRecord = RevocationRecord & { readonly sequence: number }

export function targetId(target: RevocationTarget): string {
  switch (target.kind) {
    case 'certificate':
      return `certificate:${target.certificateId}`
    case 'thumbprint':
      return `thumbprint:${target.thumbprint}`
    case 'authority':
      return `authority:${target.key}`
    case 'device':
      break
  }
  return `device:${target.deviceId}/${target.generationId}`
}

/** For a person, after "the": "certificate 0A3F… of "CN=…"". */
export function describeTarget(target: RevocationTarget): string {
  switch (target.kind) {
    case 'certificate':
      return `certificate ${target.serial} of "${target.issuer}"`
    case 'thumbprint':
      return `certificate with thumbprint ${target.thumbprint}`
    case 'authority':
      return `CA "${target.subject}"`
    case 'device':
      break
  }
  return `device '${target.deviceId}'`
}
