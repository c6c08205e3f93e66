/** Bounded work in the order of arrival: some at a time, some more that wait for their turn, nobody else. */
export class Turns {
  readonly #limits: { readonly atOnce: number; readonly waiting: number }
  readonly #waiting = new Set<() => void>()
  #running = 0

  constructor(limits: { readonly atOnce: number; readonly waiting: number }) {
    this.#limits = limits
  }

  get isIdle(): boolean {
    return this.#running === 0
  }

  /** Resolves when it is the caller's turn, who ends it with `end`; or with why it never is: too many, or too late. */
  async begin(signal: AbortSignal): Promise<'begun' | 'full' | 'late'> {
    if (signal.aborted) return 'late'
    if (this.#running < this.#limits.atOnce) {
      this.#running += 1
      return 'begun'
    }
    if (this.#waiting.size >= this.#limits.waiting) return 'full'
    const { promise, resolve } = Promise.withResolvers<'begun' | 'late'>()
    const begin = (): void => resolve('begun')
    const giveUp = (): void => {
      if (this.#waiting.delete(begin)) resolve('late')
    }
    this.#waiting.add(begin)
    signal.addEventListener('abort', giveUp, { once: true })
    const outcome = await promise
    signal.removeEventListener('abort', giveUp)
    return outcome
  }

  /** The turn goes to whoever waits longest. */
  end(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#running -= 1
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
