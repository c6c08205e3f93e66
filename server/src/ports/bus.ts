import type { PolicyOwner } from '../model/access-policy.ts'
import type { DeviceProvenance } from '../model/device.ts'
import type { DeviceId, HubName } from '../model/ids.ts'

/**
 * Hints between the parts and, at scale, the nodes of a server. A hint may be lost, doubled or late: whoever gets one
 * reads the registry again, and whoever caches also compares revisions now and then. It decides nothing.
 */
export type Hint =
  | { readonly kind: 'authorities-changed'; readonly hub: HubName }
  | {
      readonly kind: 'device-changed'
      readonly hub: HubName
      readonly deviceId: DeviceId
      readonly change: 'updated' | 'disabled' | 'deleted'
    }
  /** Which one; absent: any. */
  | { readonly kind: 'enrollments-changed'; readonly enrollment?: DeviceProvenance['enrollment'] }
  /** Its keys or rights, or it is gone. */
  | { readonly kind: 'policy-changed'; readonly owner: PolicyOwner; readonly name: string }
  | { readonly kind: 'revocations-changed' }
  | { readonly kind: 'refused' }

export interface Bus {
  publish(hint: Hint): void
  /** Returns the way to stop. A listener that throws is logged and does not stop the others. */
  subscribe(listener: (hint: Hint) => void): () => void
  close(): Promise<void>
}
