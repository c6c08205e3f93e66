import type { HubErrorCode } from '../errors.ts'
import type { Finding } from '../hub/findings/finding.ts'
import type { DeviceProvenance } from '../model/device.ts'
import type { HubName } from '../model/ids.ts'
import type { Peer } from '../model/peer.ts'
import { allocate, eligibleHubs } from './allocation.ts'
import { Assignments } from './assignments.ts'
import { RegistrationDoor } from './authenticate-registration.ts'
import type { RegistrationClaim } from './authenticate-registration.ts'
import { decide, needsAllocation } from './decide.ts'
import type { Decision } from './decide.ts'
import type { RegistrarParts } from './register.ts'
import { enrollmentReference } from './registered-device.ts'

export type RehearsalParts = Omit<RegistrarParts, 'webhook' | 'log' | 'metrics'>

/** What the provisioning service would answer. */
export type Rehearsal =
  | { readonly kind: 'rejection'; readonly found: Finding; readonly code: HubErrorCode }
  | {
      readonly kind: 'decision'
      /** The enrollment that decides. */
      readonly enrollment: DeviceProvenance['enrollment']
      readonly decision: Decision
    }
  /** The hub is for a webhook to choose, which is not asked. */
  | { readonly kind: 'webhook'; readonly enrollment: DeviceProvenance['enrollment']; readonly url: string }

/**
 * Goes through a registration as the Registrar would at that moment, by the same door and the same decision, and stores
 * nothing: no refusal, no registration, no device.
 */
export async function rehearse(
  claim: RegistrationClaim,
  peer: Peer,
  parts: RehearsalParts,
  at: number,
): Promise<Rehearsal> {
  const clock = { now: () => at }
  const door = new RegistrationDoor({ ...parts, trust: parts.trust.withoutTraces(), clock })
  const verdict = await door.judge(claim, peer)
  if (verdict.kind === 'rejection') return verdict
  const { who } = verdict
  const enrollment = enrollmentReference(who.enrollment)
  const assignments = new Assignments({ ...parts, clock })
  const { allocationPolicy: policy, iotHubs } = who.enrollment
  if (policy.kind === 'custom') {
    const standing = await assignments.standing(who, null)
    if (needsAllocation(who.enrollment, standing.assigned))
      return { kind: 'webhook', enrollment, url: policy.webhookUrl }
    return { kind: 'decision', enrollment, decision: decide(standing) }
  }
  const resolve = (host: string): HubName | null => parts.hubs.byHost(host)?.name ?? null
  const choice = allocate(policy, who.registrationId, eligibleHubs(parts.linkedHubs, iotHubs, resolve))
  return { kind: 'decision', enrollment, decision: decide(await assignments.standing(who, choice)) }
}
