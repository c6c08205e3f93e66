import type { Clock } from '../ports/clock.ts'

/** Failed log-ins from an address, or in the name of an operator, within the window before more are put off. */
const TOLERATED = 10
const WINDOW_MS = 60_000
const MAX_ADDRESSES = 1_000

interface Window {
  readonly since: number
  count: number
}

/**
 * Slows guessing: by the address that it comes from, and by the operator in whose name it is, wherever it comes from. The
 * two are counted apart, so that a guesser with many addresses pushes out addresses alone.
 */
export class FailedLogIns {
  readonly #clock: Clock
  /** In the order of the windows' start; the oldest goes first. */
  readonly #byAddress = new Map<string, Window>()
  /** One for each operator that there was within a window. */
  readonly #byOperator = new Map<string, Window>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts one more. Returns the seconds to wait, or 0 while failures are still tolerated. */
  count(address: string, operator: string | null): number {
    const byAddress = this.#countIn(this.#byAddress, address)
    const [oldest] = this.#byAddress.keys()
    if (this.#byAddress.size > MAX_ADDRESSES && oldest !== undefined) this.#byAddress.delete(oldest)
    return Math.max(byAddress, operator === null ? 0 : this.#countIn(this.#byOperator, operator))
  }

  #countIn(windows: Map<string, Window>, who: string): number {
    const now = this.#clock.now()
    for (const [each, { since }] of windows) {
      if (now - since < WINDOW_MS && now >= since) break
      windows.delete(each)
    }
    const known = windows.get(who)
    if (known === undefined) {
      windows.set(who, { since: now, count: 1 })
      return 0
    }
    known.count++
    return known.count > TOLERATED ? Math.ceil((known.since + WINDOW_MS - now) / 1000) : 0
  }
}
