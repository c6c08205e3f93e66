interface Ending {
  /** ms; null: never. */
  readonly expiresAt: number | null
}

/**
 * What ends by itself, by the second in which it does, so that one timer serves all and none is longer than a timer can be:
 * a token may say that it is good for ten thousand years. Looking through the seconds of 100,000 tokens takes about a
 * millisecond.
 */
export class Expiries<Item extends Ending> {
  readonly #bySecond = new Map<number, Set<Item>>()

  add(item: Item): void {
    if (item.expiresAt === null) return
    const second = secondOf(item.expiresAt)
    const ending = this.#bySecond.get(second)
    if (ending === undefined) this.#bySecond.set(second, new Set([item]))
    else ending.add(item)
  }

  remove(item: Item): void {
    if (item.expiresAt === null) return
    const second = secondOf(item.expiresAt)
    const ending = this.#bySecond.get(second)
    ending?.delete(item)
    if (ending?.size === 0) this.#bySecond.delete(second)
  }

  /** Those that have ended by `now` (ms). They leave by remove. */
  due(now: number): readonly Item[] {
    const ended: Item[] = []
    for (const [second, items] of this.#bySecond) {
      if (second * 1_000 > now) continue
      for (const item of items) if (item.expiresAt !== null && item.expiresAt <= now) ended.push(item)
    }
    return ended
  }
}

/** In which it ends. */
function secondOf(expiresAt: number): number {
  return Math.floor(expiresAt / 1_000)
}
