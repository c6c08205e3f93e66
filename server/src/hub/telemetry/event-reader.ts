import { HubError } from '../../errors.ts'
import type { HubName } from '../../model/ids.ts'
import type { StoredEvent } from '../../model/message.ts'
import type { TelemetryLog } from '../../ports/telemetry-log.ts'

/** A place in one partition that moves as events are taken. Nothing is held for a reader that does not ask. */
export interface EventReader {
  /**
   * The next events in order, at least one, waiting for it when need be; one call at a time. Rejects with `reader-stolen`
   * or `consumer-group-not-found` when the reader was displaced, with the signal's reason when it is aborted.
   */
  next(budget: { events: number; bytes: number }, signal?: AbortSignal): Promise<readonly StoredEvent[]>
  /** One listener: told at once when the reader has ended, also while nothing is being asked for. */
  onEnd(listener: (reason: HubError) => void): void
  close(): void
}

export interface ReaderIdentity {
  readonly name: string
  readonly epoch: number | null
}

export class LogReader implements EventReader {
  readonly identity: ReaderIdentity
  readonly #log: TelemetryLog
  readonly #hub: HubName
  readonly #partition: number
  readonly #unsubscribe: () => void
  /** The first sequence not handed out yet. */
  #from: number
  /** Set by a commit: there may be something to read. */
  #stirred = false
  #wake: (() => void) | null = null
  #ended: HubError | null = null
  #onClose: (() => void) | null = null
  #onEnd: ((reason: HubError) => void) | null = null

  constructor(log: TelemetryLog, at: { hub: HubName; partition: number; from: number }, identity: ReaderIdentity) {
    this.#log = log
    this.#hub = at.hub
    this.#partition = at.partition
    this.#from = at.from
    this.identity = identity
    this.#unsubscribe = log.onCommit(at.hub, at.partition, () => {
      this.#stirred = true
      this.#wake?.()
    })
  }

  /**
   * Backfill and live reading are one loop over the log: a commit only says to look again. The flag is cleared before
   * each read, so that a commit during the read is not missed and none is read twice.
   */
  async next(budget: { events: number; bytes: number }, signal?: AbortSignal): Promise<readonly StoredEvent[]> {
    for (;;) {
      this.#requireOpen(signal)
      this.#stirred = false
      const events = await this.#log.read(this.#hub, this.#partition, this.#from, budget)
      this.#requireOpen(signal)
      const last = events.at(-1)
      if (last !== undefined) {
        this.#from = last.position.sequence + 1
        return events
      }
      if (!this.#stirred) await this.#stir(signal)
    }
  }

  close(): void {
    this.end(new HubError('connection-superseded', 'The reader was closed.'))
  }

  /** Ends the reader with the reason that its owner gets. */
  end(reason: HubError): void {
    if (this.#ended !== null) return
    this.#ended = reason
    this.#unsubscribe()
    this.#onClose?.()
    this.#onEnd?.(reason)
    this.#wake?.()
  }

  onEnd(listener: (reason: HubError) => void): void {
    this.#onEnd = listener
    // Displaced before its owner could listen.
    if (this.#ended !== null) listener(this.#ended)
  }

  /** One listener: whoever keeps the seat. */
  onClose(listener: () => void): void {
    this.#onClose = listener
  }

  #requireOpen(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted()
    if (this.#ended !== null) throw this.#ended
  }

  /** Resolves at the next commit, end or abort. */
  #stir(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal?.removeEventListener('abort', wake)
        this.#wake = null
        resolve()
      }
      this.#wake = wake
      signal?.addEventListener('abort', wake, { once: true })
    })
  }
}
