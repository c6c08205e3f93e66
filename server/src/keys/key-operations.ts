import { HubError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Clock } from '../ports/clock.ts'
import type { KekSource } from './kek-source.ts'
import type { Keyring, KeyringFacts } from './keyring.ts'

/** Sealed rows in a store, looked at step by step. */
export interface ResealableStore<Cursor> {
  count(): number
  reseal(cursor: Cursor | null): Promise<{ looked: number; resealed: number; next: Cursor | null }>
}

export interface KeyOperationsParts<Cursor> {
  readonly keyring: Keyring
  readonly registry: ResealableStore<Cursor>
  /** ms; of the oldest telemetry that is still there, null when there is none. */
  readonly oldestTelemetry: () => number | null
  /** Small sealed files, sealed anew with the present data key. */
  readonly resealFiles: () => void
  readonly clock: Clock
  readonly log: Log
}

export interface ResealProgress {
  readonly state: 'running' | 'done' | 'failed'
  readonly startedTime: number
  readonly rows: number
  readonly looked: number
  readonly resealed: number
  /** Data keys that were destroyed at the end because nothing needs them any more. */
  readonly retired: number
}

/** What an operator may do to the keys of a running server. */
export class KeyOperations<Cursor = unknown> {
  readonly #parts: KeyOperationsParts<Cursor>
  #progress: ResealProgress | null = null
  #running: Promise<void> = Promise.resolve()
  #closed = false

  constructor(parts: KeyOperationsParts<Cursor>) {
    this.#parts = parts
  }

  facts(): KeyringFacts & { readonly reseal: ResealProgress | null } {
    return { ...this.#parts.keyring.facts(), reseal: this.#progress }
  }

  /** Another key-encryption key from the same place, or one from another place; the data keys stay. */
  async rotateKek(to?: KekSource): Promise<void> {
    const id = await this.#parts.keyring.rotateKek(to)
    this.#parts.log.warn({ kek: id }, 'the data keys are wrapped with a new key-encryption key')
  }

  /** A new data key, which seals everything that is written from now on. Returns its id. */
  async rotateDataKey(): Promise<number> {
    const { id } = await this.#parts.keyring.addDataKey()
    this.#parts.log.warn({ dataKey: id }, 'a new data key seals from now on')
    return id
  }

  /** Begins to seal with the present data key what older ones sealed; telemetry goes with its retention instead. */
  startReseal(): ResealProgress {
    if (this.#closed) throw new HubError('shutting-down', 'The server is stopping.')
    if (this.#progress?.state === 'running') return this.#progress
    const { registry, clock, log } = this.#parts
    const begun: ResealProgress = {
      state: 'running',
      startedTime: clock.now(),
      rows: registry.count(),
      looked: 0,
      resealed: 0,
      retired: 0,
    }
    this.#progress = begun
    this.#running = this.#reseal(begun).catch((error: unknown) => {
      log.error({ err: error }, 'resealing failed')
      if (this.#progress !== null) this.#progress = { ...this.#progress, state: 'failed' }
    })
    return begun
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  async #reseal(begun: ResealProgress): Promise<void> {
    const { registry, keyring, oldestTelemetry, resealFiles } = this.#parts
    resealFiles()
    let progress = begun
    let cursor: Cursor | null = null
    do {
      if (this.#closed) return
      const step: Awaited<ReturnType<ResealableStore<Cursor>['reseal']>> = await registry.reseal(cursor)
      progress = { ...progress, looked: progress.looked + step.looked, resealed: progress.resealed + step.resealed }
      this.#progress = progress
      cursor = step.next
    } while (cursor !== null)
    const oldest = oldestTelemetry() ?? Infinity
    // A key that was superseded while this ran may have sealed rows behind the walk.
    const retired = await keyring.retire(
      ({ supersededTime }) => supersededTime < begun.startedTime && supersededTime < oldest,
    )
    this.#progress = { ...progress, retired, state: 'done' }
  }
}
