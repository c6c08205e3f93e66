import { HubError } from '../../errors.ts'
import type { Metrics } from '../../metrics.ts'
import type { HubName } from '../../model/ids.ts'
import type { DeviceMessage, MessageProperties, Position } from '../../model/message.ts'
import type { TelemetryLog } from '../../ports/telemetry-log.ts'
import type { AuthenticatedDevice } from '../door/authenticate.ts'
import type { Hubs } from '../hubs.ts'
import { partitionOf } from './partition.ts'
import type { SealedMessages } from './sealed.ts'

/** Body, system property values, names and values of application properties (the service's limit). */
const MAX_MESSAGE_BYTES = 256 * 1024
/** More would serve only to make each reader's work dear: the service's own clients send a handful. */
export const MAX_APPLICATION_PROPERTIES = 512
/** The service's limit. */
const MAX_MESSAGE_ID_LENGTH = 128

/** Device-to-cloud messages: judged, stamped with who sent them, made durable. */
export class Telemetry {
  readonly #hubs: Hubs
  readonly #log: TelemetryLog
  readonly #metrics: Pick<Metrics, 'messages' | 'messageBytes'>
  readonly #sealed: SealedMessages | null

  constructor(parts: {
    hubs: Hubs
    log: TelemetryLog
    metrics: Pick<Metrics, 'messages' | 'messageBytes'>
    /** Absent: a device that must seal its messages cannot send any. */
    sealed?: SealedMessages
  }) {
    this.#hubs = parts.hubs
    this.#log = parts.log
    this.#metrics = parts.metrics
    this.#sealed = parts.sealed ?? null
  }

  /** Resolves once the event is on disk, and not before. Rejects with `message-too-large`, `argument-invalid`,
   *  `throttled` or `storage-full`: then the event is not in the stream. From a device that must seal its messages, a
   *  message that is not what it should be rejects with RefusedError. */
  async send(from: AuthenticatedDevice, message: DeviceMessage): Promise<Position> {
    requireWithinLimits(message)
    if (from.device.sealed !== 'verify') return this.#append(from, message)
    if (this.#sealed === null) throw new HubError('internal', 'Sealed messages cannot be verified here.')
    return this.#sealed.admit(from, message.body, () => this.#append(from, message))
  }

  async #append(from: AuthenticatedDevice, message: DeviceMessage): Promise<Position> {
    const { device } = from
    const position = await this.#log.append(partitionOf(device.deviceId, this.#partitions(from.hub)), {
      hub: from.hub,
      deviceId: device.deviceId,
      moduleId: from.moduleId,
      generationId: device.generationId,
      authMethod: from.authMethod,
      source: 'Telemetry',
      modelId: from.modelId,
      properties: message.properties,
      application: message.application,
      body: message.body,
    })
    this.#metrics.messages.inc()
    this.#metrics.messageBytes.inc(message.body.byteLength)
    return position
  }

  #partitions(name: HubName): number {
    const hub = this.#hubs.get(name)
    if (hub === null) throw new HubError('hub-not-found', `This server holds no hub '${name}'.`)
    return hub.partitions
  }
}

function requireWithinLimits({ properties, application, body }: DeviceMessage): void {
  let size = body.byteLength
  let count = 0
  for (const name in application) {
    size += Buffer.byteLength(name) + Buffer.byteLength(application[name] ?? '')
    if (++count > MAX_APPLICATION_PROPERTIES)
      throw new HubError('argument-invalid', `A message has at most ${MAX_APPLICATION_PROPERTIES} properties.`)
  }
  for (const name in properties) size += Buffer.byteLength(properties[name as keyof MessageProperties] ?? '')
  if (size > MAX_MESSAGE_BYTES)
    throw new HubError('message-too-large', `The message has ${size} bytes with its properties; the limit is 262144.`)
  if ((properties.messageId?.length ?? 0) > MAX_MESSAGE_ID_LENGTH)
    throw new HubError('argument-invalid', `A message id has at most ${MAX_MESSAGE_ID_LENGTH} characters.`)
}
