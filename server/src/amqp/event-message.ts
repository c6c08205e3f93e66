import type { HubEvent, StoredEvent } from '../model/message.ts'
import type { PartitionBounds } from '../ports/telemetry-log.ts'
import { SECTION } from './encoder.ts'
import type { Encoder } from './encoder.ts'

/** What a reader that tracks the end of the partition is told with each event. */
export interface RuntimeMetric {
  readonly bounds: PartitionBounds
  /** ms. */
  readonly retrievedAt: number
}

/** When nothing was ever enqueued: the zero time of the services, 0001-01-01T00:00:00Z. */
export const NEVER_ENQUEUED = -62_135_596_800_000

/**
 * Writes a stored event as an AMQP message: annotations, properties, application properties and one data section. By
 * hand and not through the engine's general encoder, because this is the one path where every event of every reader
 * passes.
 */
export function writeEvent(out: Encoder, stored: StoredEvent, metric: RuntimeMetric | null): void {
  if (metric !== null) writeDeliveryAnnotations(out, metric)
  writeMessageAnnotations(out, stored)
  writeProperties(out, stored.event)
  writeApplicationProperties(out, stored.event)
  out.section(SECTION.data)
  out.binary(stored.event.body)
}

function writeDeliveryAnnotations(out: Encoder, { bounds, retrievedAt }: RuntimeMetric): void {
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

function writeMessageAnnotations(out: Encoder, { position, event }: StoredEvent): void {
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
function writeProperties(out: Encoder, { properties }: HubEvent): void {
  const expiry = properties.expiry === undefined ? Number.NaN : Date.parse(properties.expiry)
  out.section(SECTION.properties)
  const start = out.begin('list')
  writeOptional(out, 'string', properties.messageId)
  if (properties.userId === undefined) out.null()
  else out.binary(Buffer.from(properties.userId))
  writeOptional(out, 'string', properties.to)
  out.null() // subject
  out.null() // reply-to
  writeOptional(out, 'string', properties.correlationId)
  writeOptional(out, 'symbol', properties.contentType)
  writeOptional(out, 'symbol', properties.contentEncoding)
  if (Number.isNaN(expiry)) out.null()
  else out.timestamp(expiry)
  out.end(start, 9)
}

function writeOptional(out: Encoder, type: 'string' | 'symbol', text: string | undefined): void {
  if (text === undefined) out.null()
  else out[type](text)
}

function writeApplicationProperties(out: Encoder, { application }: HubEvent): void {
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

function annotations(event: HubEvent): readonly (readonly [string, string | null | undefined])[] {
  const { properties } = event
  if (event.source !== 'Telemetry') return [['iothub-message-source', event.source]]
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
