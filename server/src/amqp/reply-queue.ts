import { creditLeft, hasSentAll } from './rhea.ts'
import type { Message, Sender } from './rhea.ts'

/**
 * Messages of ours that wait for the peer's credit on one link. Holds at most as many as the requests that the peer was
 * allowed to have open: credit for the next request is given only after a reply has left.
 */
export class ReplyQueue {
  readonly #sender: Sender
  readonly #waiting: { readonly message: Message; readonly sent: () => void }[] = []

  constructor(sender: Sender) {
    this.#sender = sender
  }

  /** `sent` is called when the message has been handed over; never when the link closes before. */
  push(message: Message, sent: () => void): void {
    this.#waiting.push({ message, sent })
    this.wake()
  }

  /** Sends one message if the peer has given credit and its window is open, and comes back for the next. */
  wake(): void {
    if (!this.#sender.is_open() || creditLeft(this.#sender) <= 0 || !hasSentAll(this.#sender.session)) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.#sender.send(next.message)
    next.sent()
    if (this.#waiting.length > 0) setImmediate(() => this.wake())
  }
}
