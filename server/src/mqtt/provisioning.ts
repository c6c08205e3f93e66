import { HubError } from '../errors.ts'
import type { Holder } from '../hub/holders.ts'
import type { AuthenticatedRegistration } from '../provisioning/authenticate-registration.ts'
import {
  asciiJson,
  provisioningError,
  provisioningErrorBody,
  registrationResultJson,
} from '../provisioning/wire-registration.ts'
import type { RegistrationResult } from '../provisioning/wire-registration.ts'
import type { JsonObject } from '../model/twin.ts'
import type { Conversation, Line } from './conversation.ts'
import type { PublishPacket, QoS, SubackCode } from './packets.ts'
import type { MqttParts } from './parts.ts'
import { Subscriptions } from './subscriptions.ts'
import { parseProvisioningRequest, PROVISIONING_RESPONSES } from './topics.ts'
import type { ProvisioningRequest } from './topics.ts'
import { MqttViolation } from './violation.ts'

/** A device that asks the provisioning service where it belongs. */
export class ProvisioningConversation implements Conversation {
  readonly #registration: AuthenticatedRegistration
  readonly #holder: Holder
  readonly #line: Line
  readonly #parts: MqttParts
  readonly #subscriptions = new Subscriptions((filter) => filter === PROVISIONING_RESPONSES)

  constructor(facts: {
    registration: AuthenticatedRegistration
    /** Each request is judged by itself; this ends the connection of one that asks for nothing. */
    holder: Holder
    line: Line
    parts: MqttParts
  }) {
    this.#registration = facts.registration
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
    return registrar.register(this.#registration, registrar.readBody(this.#registration, body), { force: false })
  }

  /** `$rid` comes first and `retry-after` in lower case: clients compare the text. */
  #answer(status: number, requestId: string, body: JsonObject, retryAfter: number | null): void {
    const qos = this.#subscriptions.qosOf(PROVISIONING_RESPONSES)
    if (qos === null) return
    const wait = retryAfter === null ? '' : `&retry-after=${Math.max(1, Math.ceil(retryAfter))}`
    this.#line.send(`$dps/registrations/res/${status}/?$rid=${requestId}${wait}`, Buffer.from(asciiJson(body)), qos)
  }
}
