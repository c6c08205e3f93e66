import type { HubEvent, StoredEvent } from '../model/message.ts'
import type { PartitionBounds } from '../ports/telemetry-log.ts'
import { Encoder, SECTION } from './encoder.ts'

/** What a reader that tracks the end of the partition is told with each event. */
export interface RuntimeMetric {
  readonly bounds: PartitionBounds
  /** ms. */
  readonly retrievedAt: number
}

/** When nothing was ever enqueued: the zero time of the services, 0001-01-01T00:00:00Z. */
export const NEVER_ENQUEUED = -62_135_596_800_000

/**
 * Turns stored events into AMQP messages. Written by hand and not through the engine's general encoder, because this is
 * the one path where every event of every reader passes.
 */
export class EventEncoder {
  readonly #out = new Encoder(4_096)

  /** The encoded message: annotations, properties, application properties and one data section. */
  encode(stored: StoredEvent, metric: RuntimeMetric | null): Buffer {
    const { event } = stored
    if (metric !== null) this.#deliveryAnnotations(metric)
    this.#messageAnnotations(stored)
    this.#properties(event)
    this.#applicationProperties(event)
    this.#out.section(SECTION.data)
    this.#out.binary(event.body)
    return this.#out.take()
  }

  #deliveryAnnotations({ bounds, retrievedAt }: RuntimeMetric): void {
    const out = this.#out
    out.section(SECTION.deliveryAnnotations)
    const start = out.begin('map')
    out.symbol('last_enqueued_sequence_number')
    out.long(bounds.next - 1)
    out.symbol('last_enqueued_offset')
    out.string(String(bounds.next - 1))
    out.symbol('last_enqueued_time_utc')
    out.timestamp(bounds.lastEnqueuedTime ?? NEVER_ENQUEUED)
    out.symbol('runtime_info_retrieval_time_utc')
    out.timestamp(retrievedAt)
    out.end(start, 8)
  }

  #messageAnnotations({ position, event }: StoredEvent): void {
    const out = this.#out
    out.section(SECTION.messageAnnotations)
    const start = out.begin('map')
    out.symbol('x-opt-sequence-number')
    out.long(position.sequence)
    out.symbol('x-opt-offset')
    out.string(String(position.sequence))
    out.symbol('x-opt-enqueued-time')
    out.timestamp(position.enqueuedTime)
    out.symbol('iothub-enqueuedtime')
    out.timestamp(position.enqueuedTime)
    let items = 8
    for (const [name, value] of annotations(event)) {
      if (value === null || value === undefined) continue
      out.symbol(name)
      out.string(value)
      items += 2
    }
    out.end(start, items)
  }

  /** AMQP 1.0 §3.2.4: a list by position, here up to absolute-expiry-time. */
  #properties({ properties }: HubEvent): void {
    const out = this.#out
    const expiry = properties.expiry === undefined ? Number.NaN : Date.parse(properties.expiry)
    out.section(SECTION.properties)
    const start = out.begin('list')
    this.#optional('string', properties.messageId)
    if (properties.userId === undefined) out.null()
    else out.binary(Buffer.from(properties.userId))
    this.#optional('string', properties.to)
    out.null() // subject
    out.null() // reply-to
    this.#optional('string', properties.correlationId)
    this.#optional('symbol', properties.contentType)
    this.#optional('symbol', properties.contentEncoding)
    if (Number.isNaN(expiry)) out.null()
    else out.timestamp(expiry)
    out.end(start, 9)
  }

  #optional(type: 'string' | 'symbol', text: string | undefined): void {
    if (text === undefined) this.#out.null()
    else this.#out[type](text)
  }

  #applicationProperties({ application }: HubEvent): void {
    const out = this.#out
    const names = Object.keys(application)
    if (names.length === 0) return
    out.section(SECTION.applicationProperties)
    const start = out.begin('map')
    for (const name of names) {
      out.string(name)
      out.string(application[name] ?? '')
    }
    out.end(start, names.length * 2)
  }
}

function annotations(event: HubEvent): readonly (readonly [string, string | null | undefined])[] {
  const { properties } = event
  return [
    ['iothub-connection-device-id', event.deviceId],
    ['iothub-connection-module-id', event.moduleId],
    ['iothub-connection-auth-generation-id', event.generationId],
    ['iothub-connection-auth-method', event.authMethod],
    ['iothub-message-source', event.source],
    ['dt-dataschema', event.modelId],
    ['dt-subject', properties.subject],
    ['iothub-interface-id', properties.interfaceId],
    ['iothub-creation-time-utc', properties.creationTime],
  ]
}
