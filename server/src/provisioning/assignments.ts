import { isDeepStrictEqual } from 'node:util'
import { sameBytes } from '@holdfast/pki'
import { HubError } from '../errors.ts'
import type { DeviceLifecycle } from '../hub/registry/devices.ts'
import type { Hubs } from '../hub/hubs.ts'
import type { Device, DeviceProvenance } from '../model/device.ts'
import { parseDeviceId, parseEnrollmentGroupId, parseRegistrationId } from '../model/ids.ts'
import type { DeviceId } from '../model/ids.ts'
import type { Registration } from '../model/registration.ts'
import type { Bus } from '../ports/bus.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { Registry } from '../ports/registry.ts'
import type { AllocationChoice } from './allocation.ts'
import type { AuthenticatedRegistration } from './authenticate-registration.ts'
import { decide, needsAllocation, samePlace } from './decide.ts'
import type { Decision, Place, Standing } from './decide.ts'
import { newOperationId, uuid } from './identifiers.ts'
import { credentialsFrom, deviceAfter, enrollmentReference } from './registered-device.ts'

/** A device or registration that others keep changing is given up after so many readings. */
const ATTEMPTS = 5

type Refused = Extract<Decision, { kind: 'refuse' }>
export type Settlement =
  | { readonly kind: 'assigned'; readonly by: Decision['kind']; readonly registration: Registration }
  | { readonly kind: 'refused'; readonly verdict: Refused; readonly previous: Registration | null }

/** Loads what a decision needs, and stores what it amounts to in one transaction. */
export class Assignments {
  readonly #hubs: Hubs
  readonly #registry: Registry
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #random: Randomness

  readonly #lifecycle: DeviceLifecycle | undefined

  constructor(parts: {
    hubs: Hubs
    registry: Registry
    bus: Bus
    clock: Clock
    random: Randomness
    lifecycle?: DeviceLifecycle
  }) {
    this.#lifecycle = parts.lifecycle
    this.#hubs = parts.hubs
    this.#registry = parts.registry
    this.#bus = parts.bus
    this.#clock = parts.clock
    this.#random = parts.random
  }

  /**
   * Decides and stores; of concurrent registrations of one id each reads what the one before it wrote. `operationId` is
   * one that the device has been told already. A device that is where it should be, as it was, is not written again,
   * unless `force` asks for it. Rejects with `throttled` when others keep changing the device.
   */
  async settle(
    who: AuthenticatedRegistration,
    choice: AllocationChoice | null,
    { operationId, force }: { readonly operationId: string | null; readonly force: boolean },
  ): Promise<Settlement> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const standing = await this.standing(who, choice)
      const { previous } = standing
      const decision = decide(standing)
      if (decision.kind === 'refuse') return { kind: 'refused', verdict: decision, previous }
      const credentials = credentialsFrom(who.evidence, who.enrollment)
      const device = deviceAfter(decision, standing, credentials, this.#clock.now(), this.#random)
      const registration = this.#assigned(who, decision, standing, operationId)
      if (
        device === null &&
        operationId === null &&
        !force &&
        previous !== null &&
        tellsTheSame(previous, registration)
      )
        return { kind: 'assigned', by: decision.kind, registration: previous }
      if ((await this.#store(registration, device, decision.place, standing)) === 'written')
        return { kind: 'assigned', by: decision.kind, registration }
    }
    throw new HubError('throttled', `Others keep changing the device of '${who.registrationId}': try again`, {
      retryAfter: 1,
    })
  }

  async standing(who: AuthenticatedRegistration, choice: AllocationChoice | null): Promise<Standing> {
    const { enrollment, registrationId } = who
    const previous = await this.#registry.registrations.get(registrationId)
    const assigned = this.#placeOf(previous)
    const deviceId = deviceIdOf(who, assigned)
    const asked = needsAllocation(enrollment, assigned) ? choice : null
    const target = asked?.kind === 'chosen' ? { hub: asked.hub.hub, deviceId } : null
    const current = assigned === null ? null : await this.#deviceAt(assigned)
    const stays = target !== null && assigned !== null && samePlace(target, assigned)
    const occupant = stays ? current : target === null ? null : await this.#deviceAt(target)
    const orphans = await this.#orphans(current, occupant)
    return { enrollment, previous, assigned, current, choice: asked, deviceId, occupant, orphans }
  }

  /** A registration of this device that has no outcome yet, or a bad one: where it was assigned is not forgotten. */
  async record(
    who: AuthenticatedRegistration,
    outcome: Pick<Registration, 'status' | 'error' | 'operationId'>,
  ): Promise<Registration> {
    const previous = await this.#registry.registrations.get(who.registrationId)
    const { assignedHub = null, assignedHost = null, deviceId = null } = previous ?? {}
    const { substatus = null, payload = null } = previous ?? {}
    const kept = { assignedHub, assignedHost, deviceId, substatus, payload }
    const registration = { ...this.#common(who, previous), ...kept, ...outcome }
    await this.#registry.registrations.record(registration)
    return registration
  }

  #assigned(
    who: AuthenticatedRegistration,
    decision: Exclude<Decision, Refused>,
    { previous, choice }: Standing,
    operationId: string | null,
  ): Registration {
    const { place, substatus } = decision
    return {
      ...this.#common(who, previous),
      status: 'assigned',
      substatus,
      assignedHub: place.hub,
      assignedHost: place.host,
      deviceId: place.deviceId,
      operationId: operationId ?? newOperationId(this.#random),
      error: null,
      payload: choice?.kind === 'chosen' ? choice.payload : (previous?.payload ?? null),
    }
  }

  #common(who: AuthenticatedRegistration, previous: Registration | null) {
    const now = this.#clock.now()
    return {
      registrationId: who.registrationId,
      presentedId: who.presentedId,
      ...proofOf(who),
      generationId: previous?.generationId ?? uuid(this.#random),
      etag: uuid(this.#random),
      created: previous?.created ?? now,
      updated: now,
    }
  }

  async #store(
    registration: Registration,
    device: Device | null,
    place: Place,
    { current, occupant }: Standing,
  ): Promise<'written' | 'conflict'> {
    const replaced = [current, occupant].find((one) => one !== null && samePlace(one, place)) ?? null
    const left = current === null || samePlace(current, place) ? null : current
    const outcome = await this.#registry.registrations.complete({
      registration,
      device,
      expectedDevice: device === null || replaced === null ? null : { kind: 'exactly', etag: replaced.etag },
      leave: left === null ? null : { hub: left.hub, deviceId: left.deviceId },
    })
    if (outcome === 'written') {
      if (device !== null && replaced !== null) this.#tell(replaced, 'updated')
      else if (device !== null) this.#lifecycle?.created(device)
      if (left !== null) {
        this.#tell(left, 'deleted')
        this.#lifecycle?.deleted(left)
      }
    }
    return outcome
  }

  #tell({ hub, deviceId }: Device, change: 'updated' | 'deleted'): void {
    this.#bus.publish({ kind: 'device-changed', hub, deviceId, change })
  }

  /** A hub that this server no longer holds is no place to be. */
  #placeOf(registration: Registration | null): Place | null {
    if (registration === null) return null
    const { assignedHub, assignedHost, deviceId } = registration
    if (assignedHub === null || deviceId === null || this.#hubs.get(assignedHub) === null) return null
    return { hub: assignedHub, host: assignedHost ?? assignedHub, deviceId }
  }

  #deviceAt({ hub, deviceId }: Pick<Place, 'hub' | 'deviceId'>): Promise<Device | null> {
    return this.#registry.devices.get(hub, deviceId)
  }

  async #orphans(...devices: readonly (Device | null)[]): Promise<readonly Device[]> {
    const orphans: Device[] = []
    for (const device of devices) {
      if (device?.provenance && !(await this.#exists(device.provenance.enrollment))) orphans.push(device)
    }
    return orphans
  }

  async #exists({ kind, id }: DeviceProvenance['enrollment']): Promise<boolean> {
    const { enrollments } = this.#registry
    return kind === 'individual'
      ? (await enrollments.getIndividual(parseRegistrationId(id))) !== null
      : (await enrollments.getGroup(parseEnrollmentGroupId(id))) !== null
  }
}

/** What proved the device, as its registration remembers it. */
export function proofOf({
  enrollment,
  evidence,
}: AuthenticatedRegistration): Pick<Registration, 'enrollment' | 'attestation'> {
  const reference = enrollmentReference(enrollment)
  if (evidence.kind === 'symmetricKey') return { enrollment: reference, attestation: { type: 'symmetricKey' } }
  const signer = evidence.path?.certificates[1]?.der ?? null
  return { enrollment: reference, attestation: { type: 'x509', leaf: evidence.leaf.der, signer } }
}

/** The enrollment's, else the one it has: registering again in another case must not make another device. */
function deviceIdOf({ enrollment, presentedId }: AuthenticatedRegistration, assigned: Place | null): DeviceId {
  const enrolled = enrollment.kind === 'individual' ? enrollment.deviceId : null
  return enrolled ?? assigned?.deviceId ?? parseDeviceId(presentedId)
}

function tellsTheSame(previous: Registration, next: Registration): boolean {
  const { operationId, etag, updated, attestation } = previous
  const same = { ...next, operationId, etag, updated, attestation }
  return isDeepStrictEqual(previous, same) && sameProof(attestation, next.attestation)
}

/** By bytes: an adapter may hand them out as another kind of array. */
function sameProof(one: Registration['attestation'], other: Registration['attestation']): boolean {
  if (one.type === 'symmetricKey' || other.type === 'symmetricKey') return one.type === other.type
  const [signer, otherSigner] = [one.signer ?? NO_BYTES, other.signer ?? NO_BYTES]
  return sameBytes(one.leaf, other.leaf) && sameBytes(signer, otherSigner)
}

const NO_BYTES = new Uint8Array()
