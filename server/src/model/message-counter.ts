import type { DeviceId, HubName } from './ids.ts'
import type { Position } from './message.ts'

/** Whether the hub demands that a device seals what it sends, and verifies that it did. */
export type SealedMode = 'off' | 'verify'

/** How far a device that seals its messages has counted, as far as they are stored. */
export interface MessageCounter {
  readonly hub: HubName
  readonly deviceId: DeviceId
  readonly generationId: string
  /** The greatest counter of a stored message. */
  readonly last: number
  /** The newest messages, for knowing a repetition; at most 64. */
  readonly recent: readonly CountedMessage[]
}

export interface CountedMessage {
  readonly counter: number
  /** Of the message's bytes. */
  readonly digest: string
  readonly position: Position
}
