import { HubError } from '../errors.ts'
import type { HubErrorCode } from '../errors.ts'
import { ofPeer } from '../hub/refusals/refusals.ts'
import type { Holder } from '../hub/holders.ts'
import type { RefusalRule } from '../model/refusal.ts'
import type { AuthenticatedRegistration } from '../provisioning/authenticate-registration.ts'
import {
  asciiJson,
  provisioningError,
  provisioningErrorBody,
  registrationResultJson,
} from '../provisioning/wire-registration.ts'
import type { RegistrationResult } from '../provisioning/wire-registration.ts'
import type { JsonObject, JsonValue } from '../model/twin.ts'
import type { Conversation, Line } from './conversation.ts'
import type { PublishPacket, QoS, SubackCode } from './packets.ts'
import type { MqttParts } from './parts.ts'
import { Subscriptions } from './subscriptions.ts'
import { parseProvisioningRequest, PROVISIONING_RESPONSES } from './topics.ts'
import type { ProvisioningRequest } from './topics.ts'
import { MqttViolation } from './violation.ts'

/** A registration is an id and a little custom data. */
const MAX_BODY_BYTES = 64 * 1024

/** A device that asks the provisioning service where it belongs. */
export class ProvisioningConversation implements Conversation {
  readonly #registration: AuthenticatedRegistration
  readonly #registrationId: string
  readonly #holder: Holder
  readonly #line: Line
  readonly #parts: MqttParts
  readonly #subscriptions = new Subscriptions((filter) => filter === PROVISIONING_RESPONSES)

  constructor(facts: {
    registration: AuthenticatedRegistration
    /** As the device spelled it. */
    registrationId: string
    /** Each request is judged by itself; this ends the connection of one that asks for nothing. */
    holder: Holder
    line: Line
    parts: MqttParts
  }) {
    this.#registration = facts.registration
    this.#registrationId = facts.registrationId
    this.#holder = facts.holder
    this.#line = facts.line
    this.#parts = facts.parts
  }

  publish(packet: PublishPacket): void {
    const request = parseProvisioningRequest(packet.topic)
    if (request === null) {
      throw new MqttViolation('MQTT-3.3.5-2', `This client may not publish to '${packet.topic.slice(0, 128)}'`)
    }
    // Clients wait for the PUBACK of the request before they take the response.
    this.#line.acknowledge(packet)
    this.#line.during(this.#respond(request, packet.payload))
  }

  subscribe(filter: string, qos: QoS): SubackCode {
    return this.#subscriptions.add(filter, qos)
  }

  unsubscribe(filter: string): void {
    this.#subscriptions.remove(filter)
  }

  ended(): void {
    this.#parts.holders.release(this.#holder)
  }

  async #respond(request: ProvisioningRequest, body: Buffer): Promise<void> {
    try {
      const result = await this.#perform(request, body)
      const pending = result.status === 'assigning' || result.status === 'unassigned'
      this.#answer(pending ? 202 : 200, request.requestId, registrationResultJson(result), result.retryAfter)
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      const { status } = provisioningError(error.code)
      const retryAfter = error.retryAfter ?? null
      this.#answer(status, request.requestId, provisioningErrorBody(error, this.#parts.clock.now()), retryAfter)
    }
  }

  async #perform(request: ProvisioningRequest, body: Buffer): Promise<RegistrationResult> {
    const { registrar } = this.#parts
    if (request.kind === 'status') return registrar.status(this.#registration, request.operationId)
    return registrar.register(this.#registration, this.#readBody(body), { force: false })
  }

  /** An empty body is a registration without custom data, as one SDK sends it. */
  #readBody(body: Buffer): { payload?: JsonValue } {
    if (body.length > MAX_BODY_BYTES) {
      const message = `The body of a registration has at most ${MAX_BODY_BYTES} bytes; this one has ${body.length}.`
      throw this.#refused('request-too-large', 'message-too-large', message)
    }
    const text = body.toString('utf8').trim()
    const value = text === '' ? {} : parseJson(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.#refused('request-malformed', 'format-invalid', 'The body of a registration is not a JSON object.')
    }
    const { registrationId: named, payload } = value as JsonObject
    if (named !== undefined && !this.#isOwnId(named)) {
      const message = `The body asks for another registration id than '${this.#registrationId}', which connected.`
      throw this.#refused('registration-id-mismatch', 'unauthorized', message)
    }
    return payload === undefined ? {} : { payload }
  }

  #isOwnId(named: JsonValue): boolean {
    return typeof named === 'string' && named.toLowerCase() === this.#registrationId.toLowerCase()
  }

  /** The request is the device's own making, so it is told what is wrong with it. */
  #refused(rule: RefusalRule, code: HubErrorCode, message: string): HubError {
    const { peer } = this.#registration
    const identity = this.#registrationId
    const draft = { ...ofPeer(peer), area: 'provisioning', hub: null, identity, rule, message } as const
    const { trackingId } = this.#parts.refusals.record(draft)
    return new HubError(code, message, { trackingId })
  }

  /** `$rid` comes first and `retry-after` in lower case: clients compare the text. */
  #answer(status: number, requestId: string, body: JsonObject, retryAfter: number | null): void {
    const qos = this.#subscriptions.qosOf(PROVISIONING_RESPONSES)
    if (qos === null) return
    const wait = retryAfter === null ? '' : `&retry-after=${Math.max(1, Math.ceil(retryAfter))}`
    this.#line.send(`$dps/registrations/res/${status}/?$rid=${requestId}${wait}`, Buffer.from(asciiJson(body)), qos)
  }
}

/** Undefined when it is not JSON. */
function parseJson(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    return undefined
  }
}
