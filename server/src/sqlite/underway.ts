/** Work that has begun and has not ended, for whoever must not close before it. */
export class Underway {
  readonly #work = new Set<Promise<void>>()

  get size(): number {
    return this.#work.size
  }

  /** Returns the work itself. */
  track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      () => undefined,
      () => undefined,
    )
    this.#work.add(settled)
    void settled.then(() => this.#work.delete(settled))
    return work
  }

  /** Resolves when all that is under way now has ended, well or not. */
  async settled(): Promise<void> {
    await Promise.all(this.#work)
  }
}
