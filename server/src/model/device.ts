import type { DeviceId, HubName } from './ids.ts'
import type { SealedMode } from './message-counter.ts'
import type { Twin } from './twin.ts'

/** How a device proves itself to the hub; exactly one kind per identity (wire-level names kept). */
export type DeviceAuthentication =
  | { readonly type: 'sas'; readonly primaryKey: string; readonly secondaryKey: string }
  | {
      readonly type: 'selfSigned'
      readonly primaryThumbprint: string | null
      readonly secondaryThumbprint: string | null
    }
  | { readonly type: 'certificateAuthority' }

/** What happens when an identity that has a live session connects once more. */
export const DUPLICATE_POLICIES = ['take-over', 'refuse-new', 'quarantine'] as const
export type DuplicatePolicy = (typeof DUPLICATE_POLICIES)[number]

/** Blocked until a person decides: two holders of the identity were alive at once. */
interface Quarantine {
  /** ms. */
  readonly since: number
  /** Of the alarm that holds the evidence. */
  readonly alarmId: string
}

export type DeviceStatus = 'enabled' | 'disabled'

/**
 * A device identity as the registry holds it. Connection state and queue counts are derived, never stored here.
 * Keys are base64; thumbprints are hex as given (40 digits SHA-1, 64 digits SHA-256). Times are ms since the epoch.
 */
export interface Device {
  readonly hub: HubName
  readonly deviceId: DeviceId
  /** 18-digit decimal string, new for each (re)creation, so that a reused id is another identity. */
  readonly generationId: string
  /** Unquoted. */
  readonly etag: string
  readonly status: DeviceStatus
  readonly statusReason: string | null
  readonly statusUpdatedTime: number | null
  readonly authentication: DeviceAuthentication
  readonly capabilities: { readonly iotEdge: boolean }
  readonly createdTime: number
  readonly lastActivityTime: number | null
  readonly connectionStateUpdatedTime: number | null
  readonly twin: Twin
  /** Absent: off. Its messages then are taken as they come. */
  readonly sealed?: SealedMode
  /** Present when the provisioning service put the device here: what proved it, so that a later revocation reaches it. */
  readonly provenance: DeviceProvenance | null
  /** Absent: as its hub has it. */
  readonly duplicates?: DuplicatePolicy
  /** Absent: not in quarantine. */
  readonly quarantine?: Quarantine
}

export interface DeviceProvenance {
  readonly enrollment: { readonly kind: 'individual' | 'group'; readonly id: string }
  /** `certificateId` of every certificate of the proven path, leaf first; empty for a symmetric key. */
  readonly path: readonly string[]
  /** For a symmetric key, digests of both of the device's keys and of what the enrollment held for each; absent in old rows. */
  readonly keys?: readonly ProvisionedKey[]
}

interface ProvisionedKey {
  readonly own: string
  /** The same as `own`, but for a group: its devices' keys are derived. */
  readonly enrolled: string
}

export interface DeviceCounts {
  readonly total: number
  readonly enabled: number
  readonly disabled: number
}
