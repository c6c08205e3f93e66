import type { DeviceId, HubName } from './ids.ts'
import type { CertificateSummary } from './refusal.ts'

/** One certificate in the hands of one device: the newest eight of each device are remembered. */
export interface CredentialUse {
  readonly hub: HubName
  readonly deviceId: DeviceId
  readonly certificate: CertificateSummary
  /** `certificateId`: issuer and serial number. */
  readonly serial: string
  /** SHA-256 of the public key info, hex. */
  readonly key: string
  /** ms: when it was first seen so, and from where. */
  readonly seen: number
  readonly address: string
  readonly port: number
  readonly protocol: string
}
