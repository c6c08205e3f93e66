import { Worker } from 'node:worker_threads'
import type { Transferable } from 'node:worker_threads'
import { HubError } from '../errors.ts'
import { hubErrorOf } from './fault.ts'
import type { Fault } from './fault.ts'

/** What a worker posts: once that it stands, then one answer per request in the order of the requests. */
export type WorkerMessage<Answer> =
  | { readonly kind: 'ready' }
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'fault'; readonly fault: Fault }

interface Pending<Answer> {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: HubError) => void
}

/**
 * The main thread's end of a storage worker. When the worker dies, everything pending is rejected, later requests fail
 * with the same error and `onFailure` is told once: the process should stop, since nothing can be acknowledged any more.
 */
export class WorkerLink<Request, Answer> {
  readonly #worker: Worker
  readonly #subject: string
  readonly #onFailure: (error: HubError) => void
  readonly #pending: Pending<Answer>[] = []
  readonly #exited: Promise<void>
  #broken: HubError | null = null
  #ready = false
  #closing = false

  private constructor(
    worker: Worker,
    subject: string,
    onFailure: (error: HubError) => void,
    ready: Pending<undefined>,
  ) {
    this.#worker = worker
    this.#subject = subject
    this.#onFailure = onFailure
    worker.on('message', (message: WorkerMessage<Answer>) => {
      if (message.kind === 'ready') {
        this.#ready = true
        ready.resolve(undefined)
      } else if (message.kind === 'answer') this.#pending.shift()?.resolve(message.answer)
      else this.#settleFault(message.fault)
    })
    worker.on('error', (error) => this.#break(error))
    this.#exited = new Promise((resolve) => {
      worker.once('exit', () => {
        if (!this.#closing) this.#break(new Error('the storage thread ended'))
        ready.reject(this.#broken ?? new HubError('shutting-down', `${subject} is closed.`))
        resolve()
      })
    })
  }

  /**
   * Starts `<name>.ts` or `<name>.js` beside this file, whichever this file is itself: compilation does not rewrite
   * strings. Resolves once the worker stands.
   */
  static async start<Request, Answer>(
    name: string,
    options: { data: unknown; subject: string; onFailure: (error: HubError) => void },
  ): Promise<WorkerLink<Request, Answer>> {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const worker = new Worker(new URL(`./${name}.${extension}`, import.meta.url), { workerData: options.data, name })
    const ready = Promise.withResolvers<undefined>()
    const link = new WorkerLink<Request, Answer>(worker, options.subject, options.onFailure, ready)
    await ready.promise
    return link
  }

  /** Rejects with HubError `storage-full` or `internal`. The caller bounds how much it has under way. */
  request(request: Request, transfer: readonly Transferable[] = []): Promise<Answer> {
    if (this.#broken !== null) return Promise.reject(this.#broken)
    if (this.#closing) return Promise.reject(new HubError('shutting-down', `${this.#subject} is closed.`))
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      this.#worker.postMessage({ kind: 'request', request }, transfer)
    })
  }

  /** Ends the worker after everything requested has been answered. */
  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true
      this.#worker.postMessage({ kind: 'close' }, [])
    }
    await this.#exited
  }

  #settleFault(fault: Fault): void {
    const error = hubErrorOf(fault, this.#subject)
    this.#pending.shift()?.reject(error)
    if (fault.fatal) this.#break(error)
  }

  #break(cause: unknown): void {
    if (this.#broken !== null) return
    const reason = cause instanceof Error ? cause.message : String(cause)
    const error = new HubError('internal', `${this.#subject} has stopped working and accepts nothing: ${reason}.`, {
      cause,
    })
    this.#broken = error
    for (const { reject } of this.#pending.splice(0)) reject(error)
    if (this.#ready) this.#onFailure(error)
  }
}
