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

/**
 * Group commit: while the worker commits, writes collect here; as soon as it is idle everything waiting goes to it as
 * one transaction. A write resolves after that transaction is on disk.
 */
export class RegistryWriter {
  readonly #link: WorkerLink<RegistryRequest, RegistryAnswer>
  #waiting: Waiting[] = []
  #pump: Promise<void> | null = null
  #closed = false

  private constructor(link: WorkerLink<RegistryRequest, RegistryAnswer>) {
    this.#link = link
  }

  static async start(data: RegistryWorkerData, onFailure: (error: HubError) => void): Promise<RegistryWriter> {
    return new RegistryWriter(await WorkerLink.start('registry-worker', { data, subject: SUBJECT, onFailure }))
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
        for (const [index, answer] of answers.entries()) settle(batch[index], answer)
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#pump = null
  }
}

function settle(waiting: Waiting | undefined, answer: WriteAnswer): void {
  if ('result' in answer) waiting?.resolve(answer.result)
  else waiting?.reject(hubErrorOf(answer.fault, SUBJECT))
}
