import type { EventCategory } from './message.ts'
import type { HubName } from './ids.ts'

/** Where the events of a hub are posted to, and how far that has come. */
export interface Webhook {
  readonly hub: HubName
  /** 16 hex digits. */
  readonly id: string
  readonly url: string
  readonly events: readonly EventCategory[]
  /** Base64 of the HMAC key. */
  readonly secret: string
  readonly createdTime: number
  /** Why nothing is delivered any more; null while it is active. */
  readonly disabled: string | null
  /** Sequence in the hub's operations stream of the next event to deliver. */
  readonly position: number
  /** ms: of the last delivery that was accepted. */
  readonly lastDelivered: number | null
  /** ms: of the first failure since; null when the last attempt was accepted. */
  readonly failingSince: number | null
  readonly lastError: string | null
}
