import type { DeviceMessage } from '../model/message.ts'
import type { PublishPacket } from './packets.ts'
import { parsePropertyBag } from './property-bag.ts'
import type { PropertyBag } from './property-bag.ts'
import type { DeviceTopics } from './topics.ts'

/** A PUBLISH on a telemetry topic as the message of a device. Retaining is not offered: the wish becomes a property. */
export function messageOf(bag: string, body: Uint8Array, retain: boolean): DeviceMessage {
  return { ...bagOf(bag, retain), body }
}

function bagOf(text: string, retain: boolean): PropertyBag {
  const bag = parsePropertyBag(text)
  return retain ? { ...bag, application: { ...bag.application, 'mqtt-retain': 'true' } } : bag
}

/** Reads telemetry of one device; a bag that repeats, as most do, is parsed once. */
export class TelemetryReader {
  readonly #topics: DeviceTopics
  #topic: string | null = null
  #retain = false
  #bag: PropertyBag = { properties: {}, application: {} }

  constructor(topics: DeviceTopics) {
    this.#topics = topics
  }

  /** Null when the topic is not the device's telemetry topic. */
  read({ topic, retain, payload }: PublishPacket): DeviceMessage | null {
    if (topic !== this.#topic || retain !== this.#retain) {
      const bag = this.#topics.bagOf(topic)
      if (bag === null) return null
      this.#bag = bagOf(bag, retain)
      this.#topic = topic
      this.#retain = retain
    }
    return { properties: this.#bag.properties, application: this.#bag.application, body: payload }
  }
}
