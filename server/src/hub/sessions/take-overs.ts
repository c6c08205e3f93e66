import type { Presence } from '../../model/alarm.ts'

/** Take-overs are counted over this time. */
const WINDOW_MS = 60_000
/** Between different addresses: a device that moves to another network does so now and then. */
const MOVES_PER_MINUTE = 3
/** Also within one address: behind one router two devices look like one. */
const TAKE_OVERS_PER_MINUTE = 12
/** Identities whose take-overs are counted; the one that had none for longest goes first. */
const MAX_IDENTITIES = 10_000

interface TakeOver {
  readonly from: Presence
  readonly to: Presence
}

export interface Flapping {
  readonly perMinute: number
  readonly moves: number
  readonly presences: readonly Presence[]
}

/** Counts how often an identity's session is taken over, which tells two holders of one credential from a bad network. */
export class TakeOvers {
  readonly #byIdentity = new Map<string, readonly TakeOver[]>()

  /** How fast the identity goes to and fro once that is too fast, else null. */
  count(identity: string, from: Presence, to: Presence): Flapping | null {
    const known = this.#byIdentity.get(identity) ?? []
    const recent = known.filter((takeOver) => takeOver.to.time > to.time - WINDOW_MS)
    const within = [...recent, { from, to }].slice(-TAKE_OVERS_PER_MINUTE)
    this.#remember(identity, within)
    const moves = within.filter((takeOver) => takeOver.from.address !== takeOver.to.address).length
    if (moves < MOVES_PER_MINUTE && within.length < TAKE_OVERS_PER_MINUTE) return null
    const [first = { from }] = within
    return { perMinute: within.length, moves, presences: [first.from, ...within.map((takeOver) => takeOver.to)] }
  }

  #remember(identity: string, takeOvers: readonly TakeOver[]): void {
    this.#byIdentity.delete(identity)
    if (this.#byIdentity.size >= MAX_IDENTITIES) {
      const [oldest] = this.#byIdentity.keys()
      if (oldest !== undefined) this.#byIdentity.delete(oldest)
    }
    this.#byIdentity.set(identity, takeOvers)
  }
}
