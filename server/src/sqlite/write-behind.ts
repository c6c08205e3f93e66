export interface WriteBehindOptions<Item> {
  /** What is noted reaches the disk within this time, ms. */
  readonly flushMs: number
  /** Keys that may wait; what is noted under one more is dropped. */
  readonly maxWaiting: number
  /** Items of one write, so that no commit takes long. */
  readonly maxBatch: number
  readonly write: (items: readonly Item[]) => Promise<unknown>
  /** Told of a write that failed; its items are forgotten. */
  readonly onError: (error: unknown) => void
}

/**
 * What nobody waits for: the latest item under each key, gathered and written in batches. A reader that must see what was
 * noted flushes first.
 */
export class WriteBehind<Item> {
  readonly #options: WriteBehindOptions<Item>
  #waiting = new Map<string, Item>()
  #timer: NodeJS.Timeout | null = null
  #flushing: Promise<void> = Promise.resolve()
  #closed = false

  constructor(options: WriteBehindOptions<Item>) {
    this.#options = options
  }

  /** What waits under this key; it may be changed in place. */
  peek(key: string): Item | undefined {
    return this.#waiting.get(key)
  }

  /** Takes the place of what waits under this key. */
  note(key: string, item: Item): void {
    const { flushMs, maxWaiting } = this.#options
    if (this.#closed || (this.#waiting.size >= maxWaiting && !this.#waiting.has(key))) return
    this.#waiting.set(key, item)
    this.#timer ??= setTimeout(() => void this.flush(), flushMs)
  }

  /** Resolves when everything noted until now was written or has failed; never rejects. */
  flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#flushing = this.#flushing.then(() => this.#writeAll())
    return this.#flushing
  }

  /** Flushes, and takes nothing more. */
  close(): Promise<void> {
    this.#closed = true
    return this.flush()
  }

  async #writeAll(): Promise<void> {
    const { maxBatch, write, onError } = this.#options
    const items = [...this.#waiting.values()]
    this.#waiting = new Map()
    for (let start = 0; start < items.length; start += maxBatch) {
      try {
        await write(items.slice(start, start + maxBatch))
      } catch (error) {
        onError(error)
      }
    }
  }
}
