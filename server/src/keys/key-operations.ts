import { HubError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { DeviceId, HubName } from '../model/ids.ts'
import type { Clock } from '../ports/clock.ts'
import type { KekSource } from './kek-source.ts'
import type { Keyring, KeyringFacts } from './keyring.ts'

/** ms; from the making of a data key until nothing is sealed with the one before it, with much to spare. */
const HANDOVER = 60_000

/** Sealed rows in a store, looked at step by step. */
interface ResealableStore<Cursor> {
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
  /** Empties what is stored of the events of a device that has been deleted. */
  readonly eraseEvents: (hub: HubName, deviceId: DeviceId) => Promise<{ events: number }>
  readonly clock: Clock
  readonly log: Log
}

export interface Erasure {
  readonly hub: HubName
  readonly deviceId: DeviceId
  readonly state: 'running' | 'done' | 'failed'
  /** How many were emptied. */
  readonly events: number
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
  #erasure: Erasure | null = null
  #erasing: Promise<void> = Promise.resolve()
  #running: Promise<void> = Promise.resolve()
  #closed = false

  constructor(parts: KeyOperationsParts<Cursor>) {
    this.#parts = parts
  }

  facts(): KeyringFacts & { readonly reseal: ResealProgress | null; readonly erasure: Erasure | null } {
    return { ...this.#parts.keyring.facts(), reseal: this.#progress, erasure: this.#erasure }
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

  /** Begins to empty the events of a deleted device; the ones of a device that has the id now are spared. */
  startErasure(hub: HubName, deviceId: DeviceId): void {
    if (this.#closed) throw new HubError('shutting-down', 'The server is stopping.')
    if (this.#erasure?.state === 'running') {
      const { deviceId: other } = this.#erasure
      throw new HubError('throttled', `The events of '${other}' are being erased; retry in a moment.`, {
        retryAfter: 5,
      })
    }
    this.#erasure = { hub, deviceId, state: 'running', events: 0 }
    this.#erasing = this.#erase(hub, deviceId)
  }

  async #erase(hub: HubName, deviceId: DeviceId): Promise<void> {
    const { eraseEvents, log } = this.#parts
    try {
      const { events } = await eraseEvents(hub, deviceId)
      this.#erasure = { hub, deviceId, state: 'done', events }
      log.warn({ hub, deviceId, events }, 'the events of a deleted device were erased')
    } catch (error) {
      this.#erasure = { hub, deviceId, state: 'failed', events: 0 }
      log.error({ err: error, hub, deviceId }, 'the events of a deleted device could not be erased')
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([this.#running, this.#erasing])
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
      ({ supersededTime }) => supersededTime < begun.startedTime && supersededTime + HANDOVER < oldest,
    )
    this.#progress = { ...progress, retired, state: 'done' }
  }
}
