/** Handshakes of strangers that begin in one turn of the event loop. */
const STRANGERS_PER_TURN = 4
/** The same for addresses from where a device has authenticated. */
const FAMILIARS_PER_TURN = 32
/** Addresses remembered as familiar; the one unused for longest goes first. */
const FAMILIAR_ADDRESSES = 16_384

interface Waiting {
  readonly addressKey: string
  readonly begin: () => void
}

/**
 * Decides whose handshake begins next. A handshake costs about a millisecond of the one thread that everything runs on,
 * so only a few begin in each turn of the event loop: whoever is connected already is served in between. Addresses take
 * turns, so that one of them cannot keep the others waiting, and those from where devices have authenticated do not wait
 * for strangers. Its caller bounds how many wait.
 */
export class HandshakeQueue {
  readonly #familiar = new Set<string>()
  readonly #familiars = new Line(FAMILIARS_PER_TURN)
  readonly #strangers = new Line(STRANGERS_PER_TURN)
  #nextTurn: NodeJS.Immediate | null = null

  /** Calls `begin` at once or when its turn comes. Returns the way to leave the queue early. */
  add(addressKey: string, begin: () => void): () => void {
    const line = this.isFamiliar(addressKey) ? this.#familiars : this.#strangers
    const waiting = { addressKey, begin }
    this.#nextTurn ??= setImmediate(() => this.#turn())
    line.add(waiting)
    return () => {
      this.#familiars.remove(waiting)
      this.#strangers.remove(waiting)
    }
  }

  isFamiliar(addressKey: string): boolean {
    return this.#familiar.has(addressKey)
  }

  /** A device has authenticated from this address: whoever waits there changes lines. */
  befriend(addressKey: string): void {
    if (!this.#familiar.delete(addressKey)) {
      for (const waiting of this.#strangers.removeAll(addressKey)) this.#familiars.add(waiting)
      const [longestUnused] = this.#familiar
      if (this.#familiar.size >= FAMILIAR_ADDRESSES && longestUnused !== undefined) this.#familiar.delete(longestUnused)
    }
    this.#familiar.add(addressKey)
  }

  close(): void {
    if (this.#nextTurn !== null) clearImmediate(this.#nextTurn)
  }

  #turn(): void {
    const busy = [this.#familiars.turn(), this.#strangers.turn()].some(Boolean)
    this.#nextTurn = busy ? setImmediate(() => this.#turn()) : null
  }
}

/** Addresses in turn, and the connections of each in the order of arrival. */
class Line {
  readonly #perTurn: number
  readonly #byAddress = new Map<string, Set<Waiting>>()
  #left: number

  constructor(perTurn: number) {
    this.#perTurn = perTurn
    this.#left = perTurn
  }

  add(waiting: Waiting): void {
    if (this.#left > 0) return this.#begin(waiting)
    const { addressKey } = waiting
    const ofAddress = this.#byAddress.get(addressKey)
    if (ofAddress === undefined) this.#byAddress.set(addressKey, new Set([waiting]))
    else ofAddress.add(waiting)
  }

  /** Begins what one turn allows of those who wait; false when nobody did. */
  turn(): boolean {
    this.#left = this.#perTurn
    while (this.#left > 0) {
      const waiting = this.#next()
      if (waiting === null) break
      this.#begin(waiting)
    }
    return this.#left < this.#perTurn
  }

  remove(waiting: Waiting): void {
    const ofAddress = this.#byAddress.get(waiting.addressKey)
    ofAddress?.delete(waiting)
    if (ofAddress?.size === 0) this.#byAddress.delete(waiting.addressKey)
  }

  removeAll(addressKey: string): Iterable<Waiting> {
    const ofAddress = this.#byAddress.get(addressKey) ?? []
    this.#byAddress.delete(addressKey)
    return ofAddress
  }

  #next(): Waiting | null {
    for (const [addressKey, ofAddress] of this.#byAddress) {
      for (const waiting of ofAddress) {
        this.remove(waiting)
        if (ofAddress.size > 0) {
          // To the end: the other addresses come first now.
          this.#byAddress.delete(addressKey)
          this.#byAddress.set(addressKey, ofAddress)
        }
        return waiting
      }
    }
    return null
  }

  #begin(waiting: Waiting): void {
    this.#left -= 1
    waiting.begin()
  }
}
