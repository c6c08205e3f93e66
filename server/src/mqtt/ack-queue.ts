interface Pending {
  readonly packetId: number
  readonly bytes: number
  state: 'waiting' | 'done' | 'failed'
  error: unknown
}

/**
 * The messages of one connection that are not durable yet, in the order in which they came. Each PUBACK goes out when
 * its message and all before it are done [MQTT-4.6.0-2]; a failure is told once those before it are acknowledged, and
 * nothing after it is. Bounded by the connection, which stops reading when `isFull`.
 */
export class AckQueue {
  #pending: Pending[] = []
  #head = 0
  #bytes = 0
  #failed = false
  /** Some message has failed, though its turn to tell may not have come. */
  #doomed = false
  readonly #limits: { readonly messages: number; readonly bytes: number }
  readonly #acknowledge: (packetId: number) => void
  readonly #fail: (error: unknown) => void

  constructor(
    limits: { readonly messages: number; readonly bytes: number },
    handlers: { acknowledge: (packetId: number) => void; fail: (error: unknown) => void },
  ) {
    this.#limits = limits
    this.#acknowledge = handlers.acknowledge
    this.#fail = handlers.fail
  }

  /** `packetId` 0 is a message that wants no PUBACK and still counts against the bounds. */
  add(packetId: number, bytes: number, durable: Promise<unknown>): void {
    const entry: Pending = { packetId, bytes, state: 'waiting', error: null }
    this.#pending.push(entry)
    this.#bytes += bytes
    durable.then(
      () => this.#settle(entry, 'done', null),
      (error: unknown) => this.#settle(entry, 'failed', error),
    )
  }

  /** Also once a message has failed: one sent after it must not be stored in its stead. */
  get isFull(): boolean {
    return this.#doomed || this.#count >= this.#limits.messages || this.#bytes >= this.#limits.bytes
  }

  /** Room enough that it pays to read again. */
  get hasRoom(): boolean {
    return !this.#doomed && this.#count <= this.#limits.messages / 2 && this.#bytes <= this.#limits.bytes / 2
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  get #count(): number {
    return this.#pending.length - this.#head
  }

  #settle(entry: Pending, state: 'done' | 'failed', error: unknown): void {
    entry.state = state
    entry.error = error
    if (state === 'failed') this.#doomed = true
    for (let next = this.#pending[this.#head]; next !== undefined; next = this.#pending[this.#head]) {
      if (next.state === 'waiting' || this.#failed) break
      this.#head += 1
      this.#bytes -= next.bytes
      if (next.state === 'failed') {
        this.#failed = true
        this.#fail(next.error)
      } else this.#acknowledge(next.packetId)
    }
    this.#compact()
  }

  #compact(): void {
    if (this.#head === this.#pending.length) {
      if (this.#head > 0) this.#pending = []
    } else if (this.#head < 1024) return
    else this.#pending = this.#pending.slice(this.#head)
    this.#head = 0
  }
}
