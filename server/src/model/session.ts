import type { DeviceId, HubName } from './ids.ts'
import type { Peer } from './peer.ts'

export type CloseReason = 'superseded' | 'device-changed' | 'revoked' | 'credential-expired' | 'shutting-down'

/** A live connection of one device. `close` is the one thing that the domain asks of a head. */
export interface Session {
  readonly id: string
  readonly hub: HubName
  readonly deviceId: DeviceId
  readonly moduleId: string | null
  readonly openedAt: number
  readonly peer: Peer
  /** `certificateId` of every certificate of the path that this session rests on; empty for tokens. */
  readonly path: readonly string[]
  close(reason: CloseReason): void
}
