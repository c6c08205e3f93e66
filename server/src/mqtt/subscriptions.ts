import type { QoS, SubackCode } from './packets.ts'

/** Filters that one connection may hold at once; the documented ones are fewer. */
const MAX_SUBSCRIPTIONS = 16

/** The subscriptions of one connection: only filters that its conversation offers, at QoS 0 or 1. */
export class Subscriptions {
  readonly #granted = new Map<string, 0 | 1>()
  readonly #allows: (filter: string) => boolean

  constructor(allows: (filter: string) => boolean) {
    this.#allows = allows
  }

  /** QoS 2 is granted as 1. A filter that is not offered gets 0x80 [MQTT-3.8.4-5], not the end of the connection. */
  add(filter: string, qos: QoS): SubackCode {
    if (!this.#allows(filter)) return 0x80
    if (this.#granted.size >= MAX_SUBSCRIPTIONS && !this.#granted.has(filter)) return 0x80
    const granted = qos === 0 ? 0 : 1
    // The same filter again replaces the subscription [MQTT-3.8.4-3].
    this.#granted.set(filter, granted)
    return granted
  }

  remove(filter: string): void {
    this.#granted.delete(filter)
  }

  /** Null: not subscribed. */
  qosOf(filter: string): 0 | 1 | null {
    return this.#granted.get(filter) ?? null
  }
}
