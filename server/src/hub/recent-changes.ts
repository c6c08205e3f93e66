/** Longer than the time that authenticating may take: the listeners close a slower peer. */
const KEPT_MS = 60_000
const MAX_KEYS = 10_000

/**
 * Which devices changed a moment ago. It bridges the gap between a device's authentication and the opening of its
 * session. Two generations, each of a minute and of at most 10,000 keys; one that is full counts as holding every key.
 */
export class RecentChanges {
  #young = new Set<string>()
  #old = new Set<string>()
  #turnedAt = 0

  add(key: string, now: number): void {
    this.forgetBefore(now)
    if (this.#young.size < MAX_KEYS) this.#young.add(key)
  }

  has(key: string): boolean {
    return [this.#young, this.#old].some((keys) => keys.size >= MAX_KEYS || keys.has(key))
  }

  /** Drops what is older than a minute, and nothing younger. */
  forgetBefore(now: number): void {
    if (now - this.#turnedAt < KEPT_MS) return
    this.#old = this.#young
    this.#young = new Set()
    this.#turnedAt = now
  }
}
