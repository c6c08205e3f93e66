/**
 * A map of at most `capacity` entries that keeps what is used. In two generations: what is asked for survives when the
 * older half is dropped, and a hit in the younger one, which is the usual case, costs a lookup and no more.
 */
export class BoundedCache<V> {
  #young = new Map<string, V>()
  #old = new Map<string, V>()
  readonly #generation: number

  constructor(capacity: number) {
    this.#generation = Math.max(1, Math.floor(capacity / 2))
  }

  get(key: string): V | undefined {
    const value = this.#young.get(key)
    if (value !== undefined) return value
    const older = this.#old.get(key)
    if (older !== undefined) this.set(key, older)
    return older
  }

  delete(key: string): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  set(key: string, value: V): void {
    if (this.#young.size >= this.#generation && !this.#young.has(key)) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }
}
