/** Messages of one device that may be on their way at once, sent and not acknowledged. */
const WIDTH = 64

interface Entry<Outcome> {
  readonly counter: number
  readonly digest: string
  readonly outcome: Outcome
}

export type CounterVerdict<Outcome> =
  | { readonly kind: 'new' }
  /** The very same message again, as happens when its acknowledgement was lost. */
  | { readonly kind: 'repeated'; readonly outcome: Outcome }
  | { readonly kind: 'replayed'; readonly last: number }

/**
 * Tells messages of one device that are new from those that are not. A counter above all others is new. One at or below
 * is a replay, unless it is the very message (by its digest) that was accepted with it, among the last 64: transports
 * deliver at least once, and a device that is refused what it repeats could never go on.
 */
export class ReplayWindow<Outcome> {
  /** In the order of acceptance; at most WIDTH. */
  readonly #recent = new Map<number, Entry<Outcome>>()
  /** Counters that were accepted and then not kept: they may come once more. At most as many as are recent. */
  readonly #returned = new Set<number>()
  #last: number

  constructor(saved: { readonly last: number; readonly recent: readonly Entry<Outcome>[] } = { last: -1, recent: [] }) {
    this.#last = saved.last
    for (const entry of saved.recent.slice(-WIDTH)) this.#recent.set(entry.counter, entry)
  }

  /** Of what was accepted: the greatest counter; -1 before the first. */
  get last(): number {
    return this.#last
  }

  get recent(): readonly Entry<Outcome>[] {
    return [...this.#recent.values()]
  }

  judge(counter: number, digest: string): CounterVerdict<Outcome> {
    if (counter > this.#last || this.#returned.has(counter)) return { kind: 'new' }
    const entry = this.#recent.get(counter)
    if (entry?.digest === digest) return { kind: 'repeated', outcome: entry.outcome }
    return { kind: 'replayed', last: this.#last }
  }

  accept(counter: number, digest: string, outcome: Outcome): void {
    this.#last = Math.max(this.#last, counter)
    this.#returned.delete(counter)
    this.#recent.set(counter, { counter, digest, outcome })
    if (this.#recent.size > WIDTH) this.#forgetOldest()
  }

  /** What was accepted could not be kept: the message may be sent again. */
  giveBack(counter: number): void {
    this.#recent.delete(counter)
    this.#returned.add(counter)
    if (this.#returned.size > WIDTH) this.#returned.delete(Math.min(...this.#returned))
  }

  #forgetOldest(): void {
    for (const counter of this.#recent.keys()) {
      this.#recent.delete(counter)
      return
    }
  }
}
