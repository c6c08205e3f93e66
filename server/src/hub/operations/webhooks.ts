import { HubError } from '../../errors.ts'
import type { HubName } from '../../model/ids.ts'
import { printable } from '../../model/ids.ts'
import type { EventCategory } from '../../model/message.ts'
import type { Webhook } from '../../model/webhook.ts'
import { operationsStreamOf } from '../hubs.ts'
import type { Hubs } from '../hubs.ts'
import type { Operations } from './operations.ts'
import { mayPostTo } from './webhook-address.ts'
import { WebhookDelivery } from './webhook-delivery.ts'
import type { DeliveryLimits, DeliveryParts } from './webhook-delivery.ts'

export const DEFAULT_DELIVERY_LIMITS: DeliveryLimits = {
  timeoutMs: 10_000,
  retryMs: 1_000,
  longestRetryMs: 5 * 60 * 1000,
  disableAfterMs: 24 * 60 * 60 * 1000,
}

/** Of one hub: each holds a reader and a connection. */
const MAX_WEBHOOKS = 32
const MAX_URL = 2_048

export interface WebhooksParts extends DeliveryParts {
  readonly hubs: Hubs
  readonly operations: Pick<Operations, 'flush'>
}

/** The webhooks of all hubs, each with its delivery. Close it before the log and the registry. */
export class Webhooks {
  readonly #parts: WebhooksParts
  readonly #deliveries = new Map<string, WebhookDelivery>()
  /** Changes go one after another: of one webhook there is one delivery. */
  #changes: Promise<unknown> = Promise.resolve()

  private constructor(parts: WebhooksParts) {
    this.#parts = parts
  }

  /** Goes on where each webhook had come to. */
  static async open(parts: WebhooksParts): Promise<Webhooks> {
    const webhooks = new Webhooks(parts)
    for (const webhook of await parts.registry.webhooks.list()) webhooks.#start(webhook)
    return webhooks
  }

  async list(hub: HubName): Promise<readonly Webhook[]> {
    return (await this.#parts.registry.webhooks.list()).filter((webhook) => webhook.hub === hub)
  }

  /** Delivers what happens from now on. The secret is in what comes back, base64. Rejects with `argument-invalid`. */
  add(hub: HubName, url: string, events: readonly EventCategory[]): Promise<Webhook> {
    return this.#inTurn(() => this.#add(hub, url, events))
  }

  /** Begins again where a disabled webhook stopped. Rejects with `operation-not-found`. */
  enable(hub: HubName, id: string): Promise<Webhook> {
    return this.#inTurn(() => this.#enable(hub, id))
  }

  /** Rejects with `operation-not-found`. */
  delete(hub: HubName, id: string): Promise<void> {
    return this.#inTurn(() => this.#delete(hub, id))
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    await this.#changes
    await Promise.all([...this.#deliveries.values()].map((delivery) => delivery.stop()))
    this.#deliveries.clear()
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(change)
    this.#changes = done.catch(() => undefined)
    return done
  }

  async #add(hub: HubName, url: string, events: readonly EventCategory[]): Promise<Webhook> {
    const { registry, operations, clock, random, log } = this.#parts
    if (url.length > MAX_URL || !mayPostTo(url))
      throw new HubError(
        'argument-invalid',
        'A webhook is an https address, or http on this machine, without a password.',
      )
    if (events.length === 0) throw new HubError('argument-invalid', 'Name the events that the webhook gets.')
    if ((await this.list(hub)).length >= MAX_WEBHOOKS)
      throw new HubError('argument-invalid', `Hub '${hub}' holds its most of ${MAX_WEBHOOKS} webhooks.`)
    // What happened until now is not for it.
    await operations.flush()
    const webhook: Webhook = {
      hub,
      id: Buffer.from(random.bytes(8)).toString('hex'),
      url,
      events,
      secret: Buffer.from(random.bytes(32)).toString('base64'),
      createdTime: clock.now(),
      disabled: null,
      position: (await log.bounds(operationsStreamOf(hub), 0)).next,
      lastDelivered: null,
      failingSince: null,
      lastError: null,
    }
    await registry.webhooks.create(webhook)
    this.#start(webhook)
    return webhook
  }

  async #enable(hub: HubName, id: string): Promise<Webhook> {
    await this.#stop(hub, id)
    const webhook = await this.#parts.registry.webhooks.get(hub, id)
    if (webhook === null) throw absent(hub, id)
    const enabled = { ...webhook, disabled: null, failingSince: null }
    if ((await this.#parts.registry.webhooks.replace(enabled)) === 'absent') throw absent(hub, id)
    this.#start(enabled)
    return enabled
  }

  async #delete(hub: HubName, id: string): Promise<void> {
    const outcome = await this.#parts.registry.webhooks.delete(hub, id)
    await this.#stop(hub, id)
    if (outcome === 'absent') throw absent(hub, id)
  }

  /** Of a hub that the server no longer holds nothing is delivered. */
  #start(webhook: Webhook): void {
    if (webhook.disabled !== null || this.#parts.hubs.get(webhook.hub) === null) return
    this.#deliveries.set(keyOf(webhook), new WebhookDelivery(webhook, this.#parts))
  }

  async #stop(hub: HubName, id: string): Promise<void> {
    const key = keyOf({ hub, id })
    const delivery = this.#deliveries.get(key)
    this.#deliveries.delete(key)
    await delivery?.stop()
  }
}

function keyOf({ hub, id }: Pick<Webhook, 'hub' | 'id'>): string {
  return `${hub}/${id}`
}

function absent(hub: HubName, id: string): HubError {
  return new HubError('operation-not-found', `Hub '${hub}' has no webhook '${printable(id)}'.`)
}
