import type { Delivery } from 'rhea'
import { HubError } from '../errors.ts'
import type { Log } from '../log.ts'
import { failureOf, translate } from './error-conditions.ts'
import { messageIdOf } from './message-id.ts'
import { ReplyQueue } from './reply-queue.ts'
import type { Message, Receiver, Sender } from './rhea.ts'
import { types } from './rhea.ts'

/** Requests that a peer may have open on one link. */
const REQUEST_WINDOW = 10

export interface Reply {
  readonly status: number
  readonly description: string
  /** AMQP condition of a failure. */
  readonly condition?: string
  /** A map of AMQP values, or nothing. */
  readonly body?: Readonly<Record<string, unknown>>
}

/**
 * A request/response node such as `$cbs` and `$management` (AMQP Management 1.0 §3): requests come on the peer's sending
 * links, each answer goes to the receiving link that the request's reply-to names.
 */
export class RequestNode {
  readonly #answer: (request: Message) => Promise<Reply>
  readonly #log: Log
  /** Bounded by the links of a connection. */
  readonly #replies = new Map<Sender, ReplyQueue>()

  constructor(answer: (request: Message) => Promise<Reply>, log: Log) {
    this.#answer = answer
    this.#log = log
  }

  addRequests(receiver: Receiver): void {
    receiver.add_credit(REQUEST_WINDOW)
  }

  addReplies(sender: Sender): void {
    this.#replies.set(sender, new ReplyQueue(sender))
  }

  removeReplies(sender: Sender): void {
    this.#replies.delete(sender)
  }

  wake(): void {
    for (const queue of this.#replies.values()) queue.wake()
  }

  async request(message: Message, delivery: Delivery, receiver: Receiver): Promise<void> {
    delivery.accept()
    const reply = await this.#answer(message).catch((error: unknown) => this.#failed(error))
    const queue = this.#queueFor(message.reply_to)
    if (queue === undefined) receiver.add_credit(1)
    else queue.push(replyMessage(message, reply), () => receiver.add_credit(1))
  }

  #failed(error: unknown): Reply {
    if (!(error instanceof HubError)) this.#log.error({ err: error }, 'amqp request failed')
    const { condition, description } = failureOf(error)
    return { status: translate(error instanceof HubError ? error.code : 'internal').status, description, condition }
  }

  /**
   * Clients name the reply link in three ways: by its target address, by its name, or (a fixed word such as `cbs`) not
   * at all; the last link is meant then.
   */
  #queueFor(replyTo: string | undefined): ReplyQueue | undefined {
    const senders = [...this.#replies.keys()]
    const named =
      senders.find((sender) => sender.target?.address === replyTo) ?? senders.find((sender) => sender.name === replyTo)
    const sender = named ?? senders.at(-1)
    return sender === undefined ? undefined : this.#replies.get(sender)
  }
}

function replyMessage(request: Message, { status, description, condition, body }: Reply): Message {
  return {
    ...messageIdOf(request),
    ...(request.reply_to === undefined ? {} : { to: request.reply_to }),
    application_properties: {
      // The IoT SDKs compare with an int; a number alone would be written as a uint.
      'status-code': types.wrap_int(status),
      'status-description': description,
      ...(condition === undefined ? {} : { 'error-condition': types.wrap_symbol(condition) }),
    },
    body: body ?? null,
  }
}
