import { createHash } from 'node:crypto'
import type { Enrollment, LinkedHub } from '../model/enrollment.ts'
import type { HubName, RegistrationId } from '../model/ids.ts'
import type { JsonValue } from '../model/twin.ts'
import type { InitialTwin } from './initial-twin.ts'

/** Where a device is to live, by policy alone: whether it goes there is for `decide` to say. */
export type AllocationChoice =
  | {
      readonly kind: 'chosen'
      readonly hub: LinkedHub
      /** Brought by a webhook; beats the enrollment's own and any migration of data. */
      readonly initialTwin: InitialTwin | null
      /** Custom data for the device, from a webhook. */
      readonly payload: JsonValue | null
    }
  | { readonly kind: 'failed'; readonly message: string }

export type ResolveHost = (host: string) => HubName | null

/** The linked hubs that an enrollment may use, in the order in which it names them; it names none for all. */
export function eligibleHubs(
  linked: readonly LinkedHub[],
  iotHubs: readonly string[],
  resolve: ResolveHost,
): readonly LinkedHub[] {
  if (iotHubs.length === 0) return linked
  const named = iotHubs.flatMap((host) => linked.find(({ hub }) => hub === resolve(host)) ?? [])
  return [...new Set(named)]
}

/** Chooses by the built-in policies; the answer of a `custom` one comes from its webhook instead. */
export function allocate(
  policy: Exclude<Enrollment['allocationPolicy'], { kind: 'custom' }>,
  registrationId: RegistrationId,
  eligible: readonly LinkedHub[],
): AllocationChoice {
  const candidates = policy.kind === 'geoLatency' ? nearest(eligible) : eligible
  const hub = policy.kind === 'static' ? candidates[0] : byWeight(registrationId, candidates)
  if (hub !== undefined) return { kind: 'chosen', hub, initialTwin: null, payload: null }
  return { kind: 'failed', message: 'The enrollment names no hub that is linked to this provisioning service' }
}

/** The hubs of least configured latency; a hub without one is farther than any that has one. */
function nearest(hubs: readonly LinkedHub[]): readonly LinkedHub[] {
  const least = Math.min(...hubs.map(({ latency }) => latency ?? Infinity))
  return hubs.filter(({ latency }) => (latency ?? Infinity) === least)
}

/**
 * Weighted rendezvous hashing: each hub draws a lot from the registration id, the shortest wait wins. Adding, removing
 * or re-weighing one hub moves only devices from or to that hub.
 */
function byWeight(registrationId: RegistrationId, hubs: readonly LinkedHub[]): LinkedHub | undefined {
  let best: { hub: LinkedHub; wait: number } | undefined
  for (const hub of hubs) {
    const wait = -Math.log(lot(registrationId, hub.hub)) / hub.weight
    if (best === undefined || wait < best.wait) best = { hub, wait }
  }
  return best?.hub
}

/** Uniform in (0, 1], from 48 bits of a hash. */
function lot(registrationId: RegistrationId, hub: HubName): number {
  const digest = createHash('sha256').update(`${registrationId}\u0000${hub}`, 'utf8').digest()
  return (digest.readUIntBE(0, 6) + 1) / 2 ** 48
}
