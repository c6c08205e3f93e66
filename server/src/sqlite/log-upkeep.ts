import { setImmediate as setImmediateTurn } from 'node:timers/promises'
import { HubError } from '../errors.ts'
import type { SealingKeys } from '../keys/sealer-for.ts'
import type { DeviceId, HubName } from '../model/ids.ts'
import type { BlockReader } from './block-reader.ts'
import type { EraseRequest } from './erase-worker.ts'
import type { HubLog, Segment } from './hub-log.ts'
import type { LogCommits } from './log-commits.ts'
import type { LogRequest } from './log-worker.ts'
import { takeOldSegments } from './retention.ts'
import { segmentSize } from './segment.ts'
import type { Underway } from './underway.ts'
import { WorkerLink } from './worker-link.ts'

export interface LogUpkeepParts {
  readonly link: WorkerLink<LogRequest, null>
  readonly commits: LogCommits
  readonly reader: BlockReader
  readonly underway: Underway
  readonly hubs: ReadonlyMap<HubName, HubLog>
  readonly subject: string
}

/** Trimming and erasing, one after another: both change segments that are complete. */
export class LogUpkeep {
  readonly #parts: LogUpkeepParts
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(parts: LogUpkeepParts) {
    this.#parts = parts
  }

  /** Deletes segments: those with nothing younger than `before`, then the oldest until at most `maxBytes` remain. */
  trim(limits: { before: number; maxBytes: number }): Promise<{ removedBytes: number }> {
    return this.#inTurn(async () => {
      const { hubs } = this.#parts
      // First what can go without writing anything: the disk may be full.
      const removed = await this.#drop(takeOldSegments(hubs.values(), limits))
      for (const hub of hubs.values()) await this.#retire(hub, limits.before)
      return { removedBytes: removed + (await this.#drop(takeOldSegments(hubs.values(), limits))) }
    })
  }

  /** Empties the device's events, except those of the generation to keep. `keys` open and seal the segments. */
  erase(
    hub: HubName,
    device: { readonly deviceId: DeviceId; readonly keepGenerationId: string | null },
    keys: () => SealingKeys,
  ): Promise<{ events: number }> {
    return this.#inTurn(async () => {
      const { hubs, reader, subject } = this.#parts
      const log = hubs.get(hub)
      if (log === undefined) return { events: 0 }
      const ended = await this.#endSegment(log)
      const options = { data: { keys: keys() }, subject, onFailure: () => {} }
      const eraser = await WorkerLink.start<EraseRequest, number>('erase-worker', options)
      try {
        let events = 0
        for (const { path } of ended) events += await eraser.request({ hub, path, ...device })
        return { events }
      } finally {
        reader.clear()
        await eraser.close()
      }
    })
  }

  /** Whatever waits for its turn is refused. */
  close(): void {
    this.#closed = true
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => {
      if (this.#closed) throw new HubError('shutting-down', `${this.#parts.subject} is closed.`)
      return this.#parts.underway.track(work())
    })
    this.#last = result.catch(() => {})
    return result
  }

  /**
   * When even the newest event of a hub is older than `before`, begins an empty segment that carries the sequences on,
   * so that the one written last can go too.
   */
  async #retire(hub: HubLog, before: number): Promise<void> {
    const current = hub.segments.at(-1)
    if (current === undefined || hub.busy || hub.hasWaiting || current.lastTime >= before || current.size === 0) return
    await this.#beginSuccessor(hub, current)
  }

  /** Makes every segment that the hub has now complete, and returns them. */
  async #endSegment(hub: HubLog): Promise<readonly Segment[]> {
    const ended = hub.segments.filter((segment) => segment.size > 0)
    const current = ended.at(-1)
    if (current !== hub.segments.at(-1)) return ended
    hub.endSegment()
    for (;;) {
      if (current === undefined || hub.segments.at(-1) !== current) return ended
      // The next commit goes to a new segment by itself.
      if (hub.busy || hub.hasWaiting) await setImmediateTurn()
      else await this.#beginSuccessor(hub, current)
    }
  }

  async #beginSuccessor(hub: HubLog, current: Segment): Promise<void> {
    hub.busy = true
    const target = hub.successor(current)
    const { path, origins } = target
    try {
      await this.#parts.underway.track(this.#parts.link.request({ kind: 'begin', hub: hub.hub, path, origins }))
      hub.began(target)
    } finally {
      hub.busy = false
      if (hub.hasWaiting) this.#parts.commits.schedule(hub)
    }
  }

  async #drop(segments: readonly Segment[]): Promise<number> {
    if (segments.length === 0) return 0
    const paths = segments.map((segment) => segment.path)
    const bytes = paths.reduce((sum, path) => sum + segmentSize(path), 0)
    for (const path of paths) this.#parts.reader.forget(path)
    await this.#parts.underway.track(this.#parts.link.request({ kind: 'drop', paths }))
    return bytes
  }
}
