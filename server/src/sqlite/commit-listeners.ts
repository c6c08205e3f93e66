import type { HubName } from '../model/ids.ts'

/** Who is told that a partition has new events. As many as there are readers, which the hub bounds. */
export class CommitListeners {
  readonly #onError: (error: unknown) => void
  readonly #byPartition = new Map<string, Set<() => void>>()

  /** `onError` is told when a listener throws. */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError
  }

  /** Returns the way to leave. */
  add(hub: HubName, partition: number, listener: () => void): () => void {
    const key = `${hub}/${partition}`
    const listeners = this.#byPartition.get(key) ?? new Set()
    this.#byPartition.set(key, listeners)
    // A fresh function for each subscription, so that the same listener can subscribe twice and leave once.
    const subscription = (): void => listener()
    listeners.add(subscription)
    return () => {
      listeners.delete(subscription)
      if (listeners.size === 0 && this.#byPartition.get(key) === listeners) this.#byPartition.delete(key)
    }
  }

  tell(hub: HubName, partitions: Iterable<number>): void {
    for (const partition of new Set(partitions)) {
      for (const listener of this.#byPartition.get(`${hub}/${partition}`) ?? []) {
        try {
          listener()
        } catch (error) {
          this.#onError(error)
        }
      }
    }
  }

  clear(): void {
    this.#byPartition.clear()
  }
}
