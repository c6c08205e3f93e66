import type { AuthorityName, HubName } from './ids.ts'

/**
 * A registered certificate authority. It authenticates nobody until possession of its key is proven.
 * The register belongs to a hub; the provisioning service shares the register of its home hub.
 */
export interface CertificateAuthority {
  readonly hub: HubName
  readonly name: AuthorityName
  /** DER. */
  readonly certificate: Uint8Array
  /** Lower-case hex SHA-256 of the DER: the identity of the certificate. */
  readonly sha256: string
  readonly etag: string
  readonly created: number
  readonly updated: number
  readonly state: AuthorityState
}

export type AuthorityState =
  | { readonly kind: 'unverified' }
  /** Single use, bound to this certificate and to the row's etag at the time it was made. */
  | { readonly kind: 'code-issued'; readonly code: string; readonly expires: number }
  | { readonly kind: 'verified'; readonly since: number; readonly by: 'proof-of-possession' | 'operator' }
