import { certificateId } from '@holdfast/pki'
import { HubError } from '../errors.ts'
import { finding } from '../hub/findings/finding.ts'
import type { Holders } from '../hub/holders.ts'
import type { DeviceLifecycle } from '../hub/registry/devices.ts'
import type { Hubs } from '../hub/hubs.ts'
import { ofPeer } from '../hub/refusals/refusals.ts'
import type { Refusals, RefusedError } from '../hub/refusals/refusals.ts'
import type { PathTrust } from '../hub/revocation/path-trust.ts'
import { sightingOf } from '../hub/sessions/sightings.ts'
import type { TrustAnchors } from '../hub/authorities/trust-anchors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { LinkedHub } from '../model/enrollment.ts'
import { printable } from '../model/ids.ts'
import type { HubName, RegistrationId } from '../model/ids.ts'
import type { Peer } from '../model/peer.ts'
import type { Registration } from '../model/registration.ts'
import type { JsonObject, JsonValue } from '../model/twin.ts'
import type { Bus } from '../ports/bus.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { Registry } from '../ports/registry.ts'
import { traced } from '../tracing.ts'
import { allocate, eligibleHubs } from './allocation.ts'
import type { AllocationWebhook } from './allocation-webhook.ts'
import { Assignments, proofOf } from './assignments.ts'
import type { Settlement } from './assignments.ts'
import { RegistrationDoor } from './authenticate-registration.ts'
import type { AuthenticatedRegistration, RegistrationClaim } from './authenticate-registration.ts'
import { needsAllocation } from './decide.ts'
import type { Place } from './decide.ts'
import { newOperationId } from './identifiers.ts'
import { webhookRequest } from './webhook-request.ts'
import { BodyFlaw, judgeRegistrationBody, parseRegistrationBody } from './registration-body.ts'
import type { RegistrationBody } from './registration-body.ts'
import { provisioningError } from './wire-registration.ts'
import type { RegistrationResult } from './wire-registration.ts'

/** Registrations that wait for a webhook at the same time. */
const MAX_OPERATIONS = 1_000
/** Seconds. */
const POLL_AFTER = 2

export interface RegistrarParts {
  readonly scope: string
  readonly hubs: Hubs
  readonly linkedHubs: readonly LinkedHub[]
  readonly registry: Registry
  readonly anchors: TrustAnchors
  readonly trust: PathTrust
  readonly refusals: Refusals
  readonly holders: Pick<Holders, 'moment'>
  readonly webhook: AllocationWebhook
  readonly lifecycle?: DeviceLifecycle
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly metrics: Pick<Metrics, 'registrations'>
}

/**
 * The verbs of a device at the provisioning service. A registration is answered at once, but for one whose hub a webhook
 * chooses: that one is polled by its operation id.
 */
export class Registrar {
  readonly #parts: RegistrarParts
  readonly #door: RegistrationDoor
  readonly #assignments: Assignments
  /** One for each registration id, at most MAX_OPERATIONS. */
  readonly #operations = new Map<RegistrationId, { readonly operationId: string; readonly end: Promise<void> }>()

  constructor(parts: RegistrarParts) {
    this.#parts = parts
    this.#door = new RegistrationDoor(parts)
    this.#assignments = new Assignments(parts)
  }

  /** Rejects with RefusedError. */
  authenticate(claim: RegistrationClaim, peer: Peer): Promise<AuthenticatedRegistration> {
    return this.#door.authenticate(claim, peer)
  }

  /**
   * Takes what a device sends along, as its bytes or as the object that HTTP has made of them. Throws HubError
   * `message-too-large`, `format-invalid` or `unauthorized`, which tells the device, and is recorded.
   */
  readBody(who: AuthenticatedRegistration, sent: Uint8Array | JsonObject): RegistrationBody {
    const value = sent instanceof Uint8Array ? parseRegistrationBody(sent) : sent
    const body = value instanceof BodyFlaw ? value : judgeRegistrationBody(value, who.presentedId)
    if (!(body instanceof BodyFlaw)) return body
    const { kind: _, ...told } = body.found
    const draft = { ...ofPeer(who.peer), area: 'provisioning', hub: null, identity: who.presentedId, ...told } as const
    const { trackingId } = this.#parts.refusals.record(draft)
    throw new HubError(body.code, told.message, { trackingId })
  }

  /**
   * Idempotent: a device that is assigned gets its assignment again. `force` makes a new record of it even so. Rejects
   * with RefusedError, or HubError `throttled`; a registration that found no hub resolves as `failed`.
   */
  async register(
    presented: AuthenticatedRegistration,
    { payload }: { readonly payload?: JsonValue | undefined },
    { force }: { readonly force: boolean },
  ): Promise<RegistrationResult> {
    const facts = { 'holdfast.registration.id': presented.registrationId }
    return traced('device.register', facts, async (span) => {
      const result = await this.#register(presented, payload, force)
      const { assignedHub = null, deviceId = null } = result.registration ?? {}
      span.note({
        'holdfast.outcome': result.status,
        ...(assignedHub !== null && { 'holdfast.hub': assignedHub }),
        ...(deviceId !== null && { 'holdfast.device.id': deviceId }),
      })
      return result
    })
  }

  async #register(
    presented: AuthenticatedRegistration,
    payload: JsonValue | undefined,
    force: boolean,
  ): Promise<RegistrationResult> {
    const who = await this.#door.renew(presented)
    const { allocationPolicy } = who.enrollment
    if (allocationPolicy.kind !== 'custom') {
      const choice = allocate(allocationPolicy, who.registrationId, this.#eligible(who))
      return this.#conclude(who, await this.#assignments.settle(who, choice, { operationId: null, force }))
    }
    const { assigned } = await this.#assignments.standing(who, null)
    if (needsAllocation(who.enrollment, assigned)) {
      return this.#begin(who, allocationPolicy.webhookUrl, assigned, payload)
    }
    return this.#conclude(who, await this.#assignments.settle(who, null, { operationId: null, force }))
  }

  /** Rejects with `operation-not-found`, or RefusedError when the device's proof no longer holds. */
  async status(presented: AuthenticatedRegistration, operationId: string): Promise<RegistrationResult> {
    const { registrationId } = await this.#door.renew(presented)
    if (this.#operations.get(registrationId)?.operationId === operationId) return assigning(operationId)
    const registration = await this.#parts.registry.registrations.get(registrationId)
    if (registration?.operationId !== operationId)
      throw new HubError('operation-not-found', `There is no operation '${printable(operationId)}': register again`)
    if (registration.status === 'assigning')
      throw new HubError('operation-not-found', 'A restart of the server ended the operation: register again')
    return final(registration)
  }

  /** Rejects with `registration-not-found`, or RefusedError when the device's proof no longer holds. */
  async lookup(presented: AuthenticatedRegistration): Promise<Registration> {
    const { registrationId } = await this.#door.renew(presented)
    const registration = await this.#parts.registry.registrations.get(registrationId)
    if (registration === null)
      throw new HubError('registration-not-found', `'${registrationId}' has not registered yet`)
    return registration
  }

  /** Ends the webhook calls under way; their devices register again. */
  async close(): Promise<void> {
    this.#parts.webhook.close()
    await Promise.all([...this.#operations.values()].map(({ end }) => end))
  }

  /** A second request of the same device joins the operation that is under way. */
  #begin(
    who: AuthenticatedRegistration,
    url: string,
    assigned: Place | null,
    payload: JsonValue | undefined,
  ): RegistrationResult {
    const running = this.#operations.get(who.registrationId)
    if (running !== undefined) return assigning(running.operationId)
    if (this.#operations.size >= MAX_OPERATIONS)
      throw new HubError('throttled', 'Too many registrations wait for their webhook: try again', { retryAfter: 5 })
    const operationId = newOperationId(this.#parts.random)
    const end = this.#run(who, operationId, url, assigned, payload).finally(() => {
      this.#operations.delete(who.registrationId)
    })
    this.#operations.set(who.registrationId, { operationId, end })
    return assigning(operationId)
  }

  /** Never rejects: what goes wrong is kept as the outcome that the device polls for, or logged. */
  async #run(
    who: AuthenticatedRegistration,
    operationId: string,
    url: string,
    assigned: Place | null,
    payload: JsonValue | undefined,
  ): Promise<void> {
    try {
      await this.#assignments.record(who, { status: 'assigning', error: null, operationId })
      const eligible = this.#eligible(who)
      const request = webhookRequest(who, { assigned, proof: proofOf(who), payload, eligible })
      const choice = await this.#parts.webhook.choose(url, request, eligible, this.#resolve)
      // Choosing took time, in which the device may have lost its trust.
      const present = await this.#door.renew(who)
      const settlement = await this.#assignments.settle(present, choice, { operationId, force: true })
      this.#account(present, settlement)
      if (settlement.kind === 'refused') await this.#fail(present, operationId, this.#refusal(present, settlement))
    } catch (error) {
      await this.#fail(who, operationId, error).catch((second: unknown) => {
        this.#parts.log.error({ registrationId: who.registrationId, err: second }, 'a failed registration was not kept')
      })
    }
  }

  async #fail(who: AuthenticatedRegistration, operationId: string, error: unknown): Promise<Registration> {
    const known = error instanceof HubError ? error : new HubError('internal', 'The server failed', { cause: error })
    if (known !== error) this.#parts.log.error({ registrationId: who.registrationId, err: error }, 'allocation broke')
    const { errorCode } = provisioningError(known.code)
    return this.#assignments.record(who, {
      status: 'failed',
      error: { code: errorCode, message: known.message },
      operationId,
    })
  }

  async #conclude(who: AuthenticatedRegistration, settlement: Settlement): Promise<RegistrationResult> {
    this.#account(who, settlement)
    if (settlement.kind === 'assigned') return final(settlement.registration)
    const refusal = this.#refusal(who, settlement)
    // Another's device: its registration is not for this one to overwrite.
    if (settlement.verdict.reason !== 'allocation-failed') throw refusal
    return final(await this.#fail(who, newOperationId(this.#parts.random), refusal))
  }

  #refusal(who: AuthenticatedRegistration, { verdict }: Extract<Settlement, { kind: 'refused' }>): RefusedError {
    const { reason, message } = verdict
    if (reason === 'allocation-failed') {
      const fault = finding('allocation-failed', `${message}.`)
      return this.#door.refuse(who.presentedId, who.peer, fault, 'allocation-failed')
    }
    if (reason === 'device-quarantined')
      return this.#door.refuse(
        who.presentedId,
        who.peer,
        finding('device-quarantined', `${message}.`),
        'device-disabled',
      )
    const remedy = 'Delete that device in its hub, or enroll this one individually, if it is meant to be replaced.'
    const fault = finding('attestation-mismatch', `${message}.`, { remedy })
    return this.#door.refuse(who.presentedId, who.peer, fault, 'device-already-exists')
  }

  #account(who: AuthenticatedRegistration, settlement: Settlement): void {
    const outcome = settlement.kind === 'assigned' ? settlement.by : settlement.verdict.reason
    this.#parts.metrics.registrations.inc({ outcome })
    if (settlement.kind === 'assigned') this.#sight(who, settlement.registration)
  }

  /** From now on the device rests on the path that it registered by. */
  #sight({ evidence }: AuthenticatedRegistration, { assignedHub: hub, deviceId }: Registration): void {
    if (evidence.kind !== 'x509' || hub === null || deviceId === null) return
    const { leaf, path } = evidence
    const proven = { leaf, path: (path?.certificates ?? [leaf]).map(certificateId) }
    const occasion = { seen: this.#parts.clock.now(), by: 'registration' } as const
    this.#parts.registry.sightings.note(sightingOf({ hub, deviceId, provenance: null }, proven, occasion))
  }

  #eligible({ enrollment }: AuthenticatedRegistration): readonly LinkedHub[] {
    return eligibleHubs(this.#parts.linkedHubs, enrollment.iotHubs, this.#resolve)
  }

  readonly #resolve = (host: string): HubName | null => this.#parts.hubs.byHost(host)?.name ?? null
}

function assigning(operationId: string): RegistrationResult {
  return { operationId, status: 'assigning', registration: null, retryAfter: POLL_AFTER }
}

function final(registration: Registration): RegistrationResult {
  const { operationId, status } = registration
  return { operationId, status, registration, retryAfter: null }
}
