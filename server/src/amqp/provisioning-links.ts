import type { Delivery } from 'rhea'
import { HubError } from '../errors.ts'
import type { Holder, Holders, LossReason } from '../hub/holders.ts'
import type { Log } from '../log.ts'
import { printable } from '../model/ids.ts'
import type { Peer } from '../model/peer.ts'
import type { JsonObject } from '../model/twin.ts'
import type { Clock } from '../ports/clock.ts'
import type { AuthenticatedRegistration } from '../provisioning/authenticate-registration.ts'
import type { Registrar } from '../provisioning/register.ts'
import type { RegistrationResult } from '../provisioning/wire-registration.ts'
import {
  asciiJson,
  deviceRegistrationJson,
  provisioningErrorBody,
  registrationResultJson,
} from '../provisioning/wire-registration.ts'
import { translate } from './error-conditions.ts'
import { correlation } from './message-id.ts'
import { ReplyQueue } from './reply-queue.ts'
import { message as messages, reject, types } from './rhea.ts'
import type { Message, Receiver, Sender } from './rhea.ts'

/** Requests that a device may have open; it has one. */
const REQUEST_WINDOW = 4

interface Answer {
  readonly body: JsonObject
  /** Seconds. */
  readonly retryAfter: number | null
}

export interface ProvisioningLinksParts {
  readonly registrar: Registrar
  readonly holders: Pick<Holders, 'hold' | 'release'>
  readonly clock: Clock
  readonly log: Log
}

/** What these links ask of their connection. */
export interface ProvisioningControl {
  authenticated(): void
  lost(reason: LossReason): void
}

/**
 * The provisioning service over AMQP, for one device on one connection: it attaches a sender and a receiver to
 * `{scope}/registrations/{id}`, sends `iotdps-register` and polls. Who it is was said by SASL, or is proven by its
 * certificate with its first request, so that a refusal can carry the error body of the service.
 */
export class ProvisioningLinks {
  readonly #parts: ProvisioningLinksParts
  readonly #peer: Peer
  readonly #control: ProvisioningControl
  #identity: { readonly scope: string; readonly registrationId: string } | null = null
  #who: AuthenticatedRegistration | null = null
  #holder: Holder | null = null
  #isClosed = false
  #replies: ReplyQueue | null = null

  constructor(parts: ProvisioningLinksParts, peer: Peer, control: ProvisioningControl) {
    this.#parts = parts
    this.#peer = peer
    this.#control = control
  }

  /** Takes what a SASL login has proven. */
  loggedIn(scope: string, who: AuthenticatedRegistration): void {
    this.#identity = { scope, registrationId: who.presentedId }
    this.#hold(who)
  }

  addRequests(receiver: Receiver, address: { scope: string; registrationId: string }): void {
    this.#claim(address)
    receiver.add_credit(REQUEST_WINDOW)
  }

  addReplies(sender: Sender, address: { scope: string; registrationId: string }): void {
    this.#claim(address)
    this.#replies = new ReplyQueue(sender)
  }

  close(): void {
    this.#isClosed = true
    if (this.#holder !== null) this.#parts.holders.release(this.#holder)
  }

  wake(): void {
    this.#replies?.wake()
  }

  async request(request: Message, delivery: Delivery, receiver: Receiver): Promise<void> {
    try {
      const answer = await this.#answer(request)
      const { body, retryAfter } = answer
      if (this.#replies === null)
        throw new HubError('argument-invalid', 'Attach a receiving link for the answers first')
      delivery.accept()
      this.#replies.push(reply(request, body, retryAfter), () => receiver.add_credit(1))
    } catch (error) {
      this.#reject(delivery, error)
      receiver.add_credit(1)
    }
  }

  async #answer(request: Message): Promise<Answer> {
    const who = await this.#authenticated()
    const properties = (request.application_properties ?? {}) as Record<string, unknown>
    const { registrar } = this.#parts
    switch (properties['iotdps-operation-type']) {
      case 'iotdps-register': {
        const body = registrar.readBody(who, dataOf(request.body))
        return answerOf(await registrar.register(who, body, { force: properties['iotdps-forceRegistration'] === true }))
      }
      case 'iotdps-get-operationstatus': {
        const operationId = properties['iotdps-operation-id']
        if (typeof operationId !== 'string') throw new HubError('argument-invalid', 'iotdps-operation-id is missing')
        return answerOf(await registrar.status(who, operationId))
      }
      case 'iotdps-get-registration':
        return { body: deviceRegistrationJson(await registrar.lookup(who)), retryAfter: null }
      default:
        throw new HubError('argument-invalid', 'iotdps-operation-type names no operation of the provisioning service')
    }
  }

  async #authenticated(): Promise<AuthenticatedRegistration> {
    const who = this.#who ?? (await this.#authenticate())
    if (this.#parts.clock.now() >= who.expiresAt)
      throw new HubError('credential-expired', 'What proved this device has expired: connect again')
    return who
  }

  async #authenticate(): Promise<AuthenticatedRegistration> {
    if (this.#identity === null) throw new HubError('unauthorized', 'The link names no registration')
    const who = await this.#parts.registrar.authenticate({ ...this.#identity, token: null }, this.#peer)
    this.#control.authenticated()
    this.#hold(who)
    return who
  }

  /** Each request is judged by itself; this ends the connection of one that asks for nothing. */
  #hold(who: AuthenticatedRegistration): void {
    const { holders } = this.#parts
    if (this.#isClosed) return
    if (this.#holder !== null) holders.release(this.#holder)
    this.#who = who
    this.#holder = who.heldUntil((reason) => this.#control.lost(reason))
    holders.hold(this.#holder)
  }

  /** One connection is one device: the first address, or the login, says which. */
  #claim({ scope, registrationId }: { scope: string; registrationId: string }): void {
    this.#identity ??= { scope, registrationId }
    const same =
      this.#identity.scope === scope && this.#identity.registrationId.toLowerCase() === registrationId.toLowerCase()
    if (!same) throw new HubError('unauthorized', 'This connection belongs to another registration')
  }

  #reject(delivery: Delivery, error: unknown): void {
    if (!(error instanceof HubError))
      this.#parts.log.error(
        { err: error, registrationId: printable(this.#identity?.registrationId ?? '') },
        'amqp registration failed',
      )
    const failure = error instanceof HubError ? error : new HubError('internal', 'The server failed to do this')
    const retryAfter = failure.retryAfter ?? null
    reject(delivery, {
      condition: translate(failure.code).condition,
      description: asciiJson(provisioningErrorBody(failure, this.#parts.clock.now())),
      ...(retryAfter === null ? {} : { info: { 'retry-after': retryAfter, 'Retry-After': retryAfter } }),
    })
  }
}

function answerOf(result: RegistrationResult): Answer {
  return { body: registrationResultJson(result), retryAfter: result.retryAfter }
}

function reply(request: Message, body: JsonObject, retryAfter: number | null): Message {
  const seconds = retryAfter === null ? null : types.wrap_int(retryAfter)
  return {
    ...correlation(request.correlation_id ?? request.message_id),
    // The SDKs differ in the spelling that they look for.
    ...(seconds === null ? {} : { application_properties: { 'retry-after': seconds, 'Retry-After': seconds } }),
    body: messages.data_section(Buffer.from(asciiJson(body))),
  }
}

/** The bytes of one or more data sections, or of an amqp-value that is text or binary. */
function dataOf(body: unknown): Buffer {
  if (body === undefined || body === null) return Buffer.alloc(0)
  if (typeof body === 'string') return Buffer.from(body)
  if (Buffer.isBuffer(body)) return body
  const { content } = body as { content?: unknown }
  if (Buffer.isBuffer(content)) return content
  if (Array.isArray(content) && content.every((part) => Buffer.isBuffer(part))) return Buffer.concat(content)
  throw new HubError('argument-invalid', 'The body of the registration must be a data section')
}
