import type { DeviceId, HubName } from './ids.ts'

/** By which certificates a device proved itself last, at its hub or to the provisioning service. */
export interface Sighting {
  readonly hub: HubName
  readonly deviceId: DeviceId
  readonly leaf: {
    /** `certificateId`. */
    readonly id: string
    readonly subject: string
    /** ms. */
    readonly notAfter: number
  }
  /** `certificateId` of each CA of the proven path, nearest first; empty for a certificate that is known by itself. */
  readonly authorities: readonly string[]
  /** ms. */
  readonly seen: number
  readonly by: 'connect' | 'registration'
}

/** What rests on one chain of CAs at a hub. */
export interface PathUse {
  /** As in a sighting. */
  readonly authorities: readonly string[]
  /** Whose last sighting is by this path. */
  readonly devices: number
  /** ms: when the last device was seen with it, even if none is left. */
  readonly lastSeen: number
}
