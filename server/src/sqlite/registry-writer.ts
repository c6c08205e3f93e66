import { HubError } from '../errors.ts'
import type { DataKey } from '../keys/envelope.ts'
import { hubErrorOf } from './fault.ts'
import type { Write, WriteResult } from './registry-writes.ts'
import type { RegistryAnswer, RegistryRequest, RegistryWorkerData, WriteAnswer } from './registry-worker.ts'
import type { ResealCursor, ResealStep } from './reseal.ts'
import { WorkerLink } from './worker-link.ts'

/** Writes of one transaction: bounds how long one commit, and with it an answer, can take. */
const MAX_BATCH = 1_000
/** Writes that may wait; a caller beyond that is told to come back. */
const MAX_WAITING = 50_000

const SUBJECT = 'The registry'

interface Waiting {
  readonly write: Write
  readonly resolve: (result: WriteResult) => void
  readonly reject: (error: unknown) => void
}

/** Sees every write of the registry: when it is handed over, and once it is answered, before its caller knows. */
export interface WriteWatcher {
  begun(write: Write): void
  ended(write: Write, isDone: boolean): void
}

/**
 * Group commit: while the worker commits, writes collect here; as soon as it is idle everything waiting goes to it as
 * one transaction. A write resolves after that transaction is on disk.
 */
export class RegistryWriter {
  readonly #link: WorkerLink<RegistryRequest, RegistryAnswer>
  readonly #watcher: WriteWatcher
  #waiting: Waiting[] = []
  #pump: Promise<void> | null = null
  #closed = false

  private constructor(link: WorkerLink<RegistryRequest, RegistryAnswer>, watcher: WriteWatcher) {
    this.#link = link
    this.#watcher = watcher
  }

  static async start(
    data: RegistryWorkerData,
    { watcher, onFailure }: { watcher: WriteWatcher; onFailure: (error: HubError) => void },
  ): Promise<RegistryWriter> {
    const options = { data, subject: SUBJECT, onFailure }
    return new RegistryWriter(await WorkerLink.start('registry-worker', options), watcher)
  }

  write(write: Write): Promise<WriteResult> {
    if (this.#closed) return Promise.reject(new HubError('shutting-down', `${SUBJECT} is closed.`))
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(
        new HubError('throttled', `${SUBJECT} has ${MAX_WAITING} changes waiting for the disk; retry in a moment.`, {
          retryAfter: 1,
        }),
      )
    }
    this.#watcher.begun(write)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ write, resolve, reject })
      this.#pump ??= this.#drain()
    })
  }

  /** From the next write on this key seals. */
  async addKey(key: DataKey): Promise<void> {
    await this.#link.request({ kind: 'add-key', key })
  }

  /** Seals some more rows anew, between two batches of writes. */
  async reseal(cursor: ResealCursor | null): Promise<ResealStep> {
    return (await this.#link.request({ kind: 'reseal', cursor })) as ResealStep
  }

  /** Ends after everything accepted has been answered. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#pump
    await this.#link.close()
  }

  async #drain(): Promise<void> {
    // Lets the callers of this turn of the event loop share the first commit.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH)
      try {
        const request = { kind: 'write', batch: batch.map(({ write }) => write) } as const
        const answers = (await this.#link.request(request)) as readonly WriteAnswer[]
        for (const [index, waiting] of batch.entries()) this.#settle(waiting, answers[index])
      } catch (error) {
        for (const { write, reject } of batch) {
          this.#watcher.ended(write, false)
          reject(error)
        }
      }
    }
    this.#pump = null
  }

  #settle({ write, resolve, reject }: Waiting, answer: WriteAnswer | undefined): void {
    const isDone = answer !== undefined && 'result' in answer
    this.#watcher.ended(write, isDone)
    if (isDone) resolve(answer.result)
    else reject(answer === undefined ? unanswered() : hubErrorOf(answer.fault, SUBJECT))
  }
}

function unanswered(): HubError {
  return new HubError('internal', `${SUBJECT} did not answer every write of a batch.`)
}
