import type { DuplicatePolicy } from './device.ts'
import type { Ground } from './ground.ts'
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
  /** Whatever it rests on: losing one of them closes it. */
  readonly grounds: readonly Ground[]
  /** ms: when what it rests on ends; null when it does not. */
  readonly expiresAt: number | null
  /** `Holders.moment` when the judgement that let it in began. */
  readonly asOf: number
  /** Fingerprint of the identity's credential as it was proven: the session ends when the registry holds another. */
  readonly credential: string
  /** The identity's own; absent: as its hub has it. */
  readonly duplicates?: DuplicatePolicy
  close(reason: CloseReason): void
  /** Finds out whether the other side is still there: when it is gone the session ends, when it speaks `heard` is called. */
  probe(heard: () => void): void
}
