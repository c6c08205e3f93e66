import { createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import type { StoredEvent } from '../../model/message.ts'
import type { Webhook } from '../../model/webhook.ts'
import type { Clock, Randomness } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import type { TelemetryLog } from '../../ports/telemetry-log.ts'
import type { Alarms } from '../alarms.ts'
import { LogReader } from '../telemetry/event-reader.ts'
import { operationsStreamOf } from '../hubs.ts'
import { categoryOf } from './operation-events.ts'
import { callWebhook } from './webhook-call.ts'
import type { WebhookMessage } from './webhook-call.ts'

export interface DeliveryLimits {
  /** ms for one call. */
  readonly timeoutMs: number
  /** ms: the wait after a first failure; it doubles with each further one, up to the longest. */
  readonly retryMs: number
  readonly longestRetryMs: number
  /** ms: a webhook that has failed for so long is disabled. */
  readonly disableAfterMs: number
}

/** Of one message, so that neither side holds much. */
const BATCH = { events: 100, bytes: 256 * 1024 }
/** Events that a webhook does not want may be looked at again after a restart, so many. */
const UNSAVED = 1_000

export interface DeliveryParts {
  readonly log: TelemetryLog
  readonly registry: Pick<Registry, 'webhooks'>
  readonly alarms: Alarms
  readonly clock: Clock
  readonly random: Randomness
  readonly logger: Log
  readonly metrics: Pick<Metrics, 'webhookDeliveries'>
  readonly limits: DeliveryLimits
}

interface Batch {
  readonly message: WebhookMessage | null
  /** Sequence of the first event after it. */
  readonly next: number
}

/**
 * Posts the events of one hub to one address, in their order and one message at a time. It reads the durable stream from
 * a position that moves once a message was accepted: a restart, or a receiver that was away, loses nothing, and the
 * memory that it takes does not depend on how far it is behind. The last message may come twice.
 */
export class WebhookDelivery {
  readonly #parts: DeliveryParts
  readonly #key: KeyObject
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>
  #webhook: Webhook
  #position: number

  constructor(webhook: Webhook, parts: DeliveryParts) {
    this.#parts = parts
    this.#webhook = webhook
    this.#position = webhook.position
    this.#key = createSecretKey(webhook.secret, 'base64')
    this.#running = this.#run()
  }

  /** Aborts the call under way; its events are delivered again another time. */
  stop(): Promise<void> {
    this.#stopping.abort()
    return this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted && this.#webhook.disabled === null; failures++) {
      try {
        if (failures > 0) await this.#pause(failures)
        await this.#deliverAll()
      } catch (error) {
        if (signal.aborted) return
        // The log or the registry failed, not the receiver.
        this.#parts.logger.error({ err: error, webhook: this.#webhook.id }, 'a webhook stopped; trying again')
      }
    }
  }

  async #deliverAll(): Promise<void> {
    const { signal } = this.#stopping
    const hub = operationsStreamOf(this.#webhook.hub)
    const place = { hub, partition: 0, from: this.#position }
    const reader = new LogReader(this.#parts.log, place, { name: `webhook ${this.#webhook.id}`, epoch: null })
    try {
      while (this.#webhook.disabled === null) {
        const batch = this.#batchOf(await reader.next(BATCH, signal))
        if (batch.message !== null && !(await this.#deliver(batch.message, batch.next))) return
        this.#position = batch.next
        if (batch.next - this.#webhook.position >= UNSAVED) await this.#save({ position: batch.next })
      }
    } finally {
      reader.close()
    }
  }

  #batchOf(stored: readonly StoredEvent[]): Batch {
    const first = stored[0]?.position.sequence ?? this.#position
    if (first > this.#position) this.#tellLost(first - this.#position)
    const last = stored.at(-1)?.position.sequence ?? first
    const wanted = stored.filter(({ event }) => {
      const category = categoryOf(event)
      return category !== null && this.#webhook.events.includes(category)
    })
    if (wanted.length === 0) return { message: null, next: last + 1 }
    const body = JSON.stringify({
      type: 'holdfast.events',
      timestamp: new Date(wanted[0]?.position.enqueuedTime ?? 0).toISOString(),
      data: wanted.map((event) => eventJson(event, this.#webhook.hub)),
    })
    return { message: { id: `${this.#webhook.id}_${first}_${last}`, body }, next: last + 1 }
  }

  /** Tries until it is accepted, and notes that; false when the webhook ended instead. */
  async #deliver(message: WebhookMessage, next: number): Promise<boolean> {
    const { clock, metrics, limits } = this.#parts
    for (let failures = 0; ; failures++) {
      const now = clock.now()
      const options = { timeoutMs: limits.timeoutMs, now, signal: this.#stopping.signal }
      const outcome = await callWebhook(this.#webhook.url, message, this.#key, options)
      metrics.webhookDeliveries.inc({ outcome: outcome.kind })
      if (outcome.kind === 'accepted') {
        this.#position = next
        return this.#save({ position: next, lastDelivered: now, failingSince: null, lastError: null })
      }
      if (outcome.kind === 'gone') return this.#disable('it answered with status 410: it wants no more')
      if (!(await this.#noteFailure(outcome.reason, now))) return false
      await this.#pause(failures)
    }
  }

  async #noteFailure(reason: string, now: number): Promise<boolean> {
    const { failingSince, lastError } = this.#webhook
    const since = failingSince ?? now
    if (now - since >= this.#parts.limits.disableAfterMs) return this.#disable(reason)
    if (failingSince !== null && lastError === reason) return true
    return this.#save({ failingSince: since, lastError: reason })
  }

  async #disable(reason: string): Promise<false> {
    const { id, hub, url } = this.#webhook
    await this.#save({ disabled: reason, lastError: reason })
    const message = `Webhook '${id}' (${new URL(url).host}) was disabled: ${reason}.`
    this.#parts.alarms.raise({ hub, kind: 'webhook-disabled', subject: id, message, evidence: [] })
    return false
  }

  /** False when the webhook was deleted meanwhile. */
  async #save(change: Partial<Webhook>): Promise<boolean> {
    const webhook = { ...this.#webhook, ...change }
    if ((await this.#parts.registry.webhooks.replace(webhook)) === 'absent') {
      this.#stopping.abort()
      return false
    }
    this.#webhook = webhook
    return true
  }

  /** Exponential, with half of it left to chance, so that webhooks that fell together do not come back together. */
  async #pause(failures: number): Promise<void> {
    const { retryMs, longestRetryMs } = this.#parts.limits
    const wait = Math.min(retryMs * 2 ** Math.min(failures, 30), longestRetryMs)
    const chance = Buffer.from(this.#parts.random.bytes(2)).readUInt16BE() / 0xffff
    await delay(wait / 2 + (chance * wait) / 2, undefined, { signal: this.#stopping.signal })
  }

  #tellLost(count: number): void {
    const { id, hub } = this.#webhook
    const message = `Webhook '${id}' is so far behind that ${count} events have been dropped before it read them.`
    this.#parts.alarms.raise({ hub, kind: 'webhook-events-lost', subject: id, message, evidence: [] })
  }
}

function eventJson({ position, event }: StoredEvent, hub: string): object {
  const { opType, operationTimestamp } = event.application
  return {
    id: `${event.hub}/${position.sequence}`,
    category: categoryOf(event),
    type: opType,
    time: operationTimestamp,
    hub,
    deviceId: event.deviceId,
    moduleId: event.moduleId,
    data: JSON.parse(Buffer.from(event.body).toString('utf8')) as unknown,
  }
}
