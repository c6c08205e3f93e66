import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { HubError } from '../errors.ts'
import { parseHubName } from '../model/ids.ts'
import type { HubName } from '../model/ids.ts'
import type { HubEvent, Position, StoredEvent } from '../model/message.ts'
import type { Clock } from '../ports/clock.ts'
import type { PartitionBounds, TelemetryLog } from '../ports/telemetry-log.ts'
import { BlockReader } from './block-reader.ts'
import { createFolder } from './folder.ts'
import { HubLog } from './hub-log.ts'
import type { PendingBlock, Segment } from './hub-log.ts'
import type { LogRequest, LogWorkerData } from './log-worker.ts'
import { segmentSize } from './segment.ts'
import { WorkerLink } from './worker-link.ts'

export interface TelemetryLogSettings {
  /**
   * Length of a period, ms, in whole seconds. An hour by default: retention of a day is then kept to within an hour,
   * and a week is 168 files, which open in a fraction of a second.
   */
  readonly periodMs: number
  /** A segment of this size is followed by another one, so that retention by size has small steps. */
  readonly segmentBytes: number
  /** Bytes of one block, the unit of reading. */
  readonly blockBytes: number
  /** Bytes of one commit: bounds how long an acknowledgement waits for those before it. */
  readonly maxBatchBytes: number
  /** Bytes that may wait for the disk before `append` rejects with `throttled`. */
  readonly maxWaitingBytes: number
  /** Bytes in the write-ahead log at which a checkpoint no longer waits for an idle moment. */
  readonly checkpointBytes: number
  /** Stored bytes of the blocks that stay decoded for readers. */
  readonly cacheBytes: number
  /** Quota of each segment file in pages of 4 KiB. */
  readonly maxPages: number | undefined
}

export const DEFAULT_LOG_SETTINGS: TelemetryLogSettings = {
  periodMs: 60 * 60 * 1_000,
  segmentBytes: 256 * 1024 * 1024,
  blockBytes: 256 * 1024,
  maxBatchBytes: 2 * 1024 * 1024,
  maxWaitingBytes: 64 * 1024 * 1024,
  checkpointBytes: 16 * 1024 * 1024,
  cacheBytes: 16 * 1024 * 1024,
  maxPages: undefined,
}

export interface TelemetryLogOptions {
  /** Folder of the log; each hub has a folder in it. */
  readonly folder: string
  readonly clock: Clock
  readonly settings: TelemetryLogSettings
  /** Told once when nothing can be written any more. */
  readonly onFailure: (error: HubError) => void
  /** Told when a commit listener throws. */
  readonly onError: (error: unknown) => void
}

const SUBJECT = 'The telemetry log'
const MAX_PARTITIONS = 1_024

/** Opens the log with everything that was ever acknowledged in it. */
export async function openTelemetryLog(options: TelemetryLogOptions): Promise<TelemetryLog> {
  createFolder(options.folder)
  // Before the worker starts: a folder that cannot be read must not leave a thread behind.
  const hubs = readdirSync(options.folder)
    .map(parseHubName)
    .map((hub) => new HubLog(hub, join(options.folder, hub), options.settings))
  const { checkpointBytes, maxPages } = options.settings
  const data: LogWorkerData = { checkpointBytes, maxPages }
  const link = await WorkerLink.start<LogRequest, null>('log-worker', {
    data,
    subject: SUBJECT,
    onFailure: options.onFailure,
  })
  return new SqliteTelemetryLog(link, hubs, options)
}

class SqliteTelemetryLog implements TelemetryLog {
  readonly #link: WorkerLink<LogRequest, null>
  readonly #options: TelemetryLogOptions
  readonly #settings: TelemetryLogSettings
  readonly #reader: BlockReader
  /** One for each hub that the server holds or once held. */
  readonly #hubs: Map<HubName, HubLog>
  readonly #listeners = new Map<string, Set<() => void>>()
  readonly #scheduled = new Set<HubLog>()
  /** Work that `close` has to wait for. */
  readonly #underway = new Set<Promise<void>>()
  /** Bytes accepted and not yet answered. */
  #waitingBytes = 0
  #closed = false

  constructor(link: WorkerLink<LogRequest, null>, hubs: readonly HubLog[], options: TelemetryLogOptions) {
    this.#link = link
    this.#options = options
    this.#settings = options.settings
    this.#reader = new BlockReader(options.settings.cacheBytes)
    this.#hubs = new Map(hubs.map((hub) => [hub.hub, hub]))
  }

  append(partition: number, event: HubEvent): Promise<Position> {
    if (this.#closed) return Promise.reject(new HubError('shutting-down', `${SUBJECT} is closed.`))
    if (this.#waitingBytes >= this.#settings.maxWaitingBytes) return Promise.reject(overloaded())
    if (!Number.isInteger(partition) || partition < 0 || partition >= MAX_PARTITIONS) {
      return Promise.reject(new HubError('partition-not-found', `There is no partition ${partition}.`))
    }
    return new Promise((resolve, reject) => {
      const hub = this.#hub(event.hub)
      this.#waitingBytes += hub.add(partition, event, { resolve, reject })
      if (!hub.busy) this.#schedule(hub)
    })
  }

  async read(
    hub: HubName,
    partition: number,
    from: number,
    budget: { events: number; bytes: number },
  ): Promise<readonly StoredEvent[]> {
    const { begin, next } = await this.bounds(hub, partition)
    const events: StoredEvent[] = []
    let bytes = 0
    let sequence = Math.max(from, begin)
    while (sequence < next && events.length < budget.events) {
      const block = this.#blockAt(hub, partition, sequence)
      if (block === null) break
      for (let index = Math.max(0, sequence - block.first); index < block.events.length; index++) {
        const event = block.events[index]
        bytes += block.sizes[index] ?? 0
        // One event at least: an event larger than the budget must not stop its reader for ever.
        if (event === undefined || (events.length > 0 && bytes > budget.bytes)) return events
        events.push(event)
        if (events.length >= budget.events) return events
      }
      sequence = block.first + block.events.length
    }
    return events
  }

  async bounds(hub: HubName, partition: number): Promise<PartitionBounds> {
    if (this.#closed) throw new HubError('shutting-down', `${SUBJECT} is closed.`)
    return this.#hubs.get(hub)?.bounds(partition) ?? { begin: 0, next: 0, lastEnqueuedTime: null }
  }

  async seek(hub: HubName, partition: number, time: number): Promise<number> {
    const { next } = await this.bounds(hub, partition)
    for (const segment of this.#hubs.get(hub)?.segments ?? []) {
      if (segment.lastTime < time) continue
      const sequence = this.#reader.seek(segment.path, partition, time)
      if (sequence !== null) return sequence
    }
    return next
  }

  onCommit(hub: HubName, partition: number, listener: () => void): () => void {
    const key = `${hub}/${partition}`
    const listeners = this.#listeners.get(key) ?? new Set()
    this.#listeners.set(key, listeners)
    // A fresh function for each subscription, so that the same listener can subscribe twice and leave once.
    const subscription = (): void => listener()
    listeners.add(subscription)
    return () => {
      listeners.delete(subscription)
      if (listeners.size === 0 && this.#listeners.get(key) === listeners) this.#listeners.delete(key)
    }
  }

  async trim(limits: { before: number; maxBytes: number }): Promise<{ removedBytes: number }> {
    if (this.#closed) throw new HubError('shutting-down', `${SUBJECT} is closed.`)
    for (const hub of this.#hubs.values()) await this.#retire(hub, limits.before)
    const doomed = this.#takeOld(limits)
    const removedBytes = doomed.reduce((sum, { path }) => sum + segmentSize(path), 0)
    for (const { path } of doomed) this.#reader.forget(path)
    if (doomed.length > 0)
      await this.#track(this.#link.request({ kind: 'drop', paths: doomed.map(({ path }) => path) }))
    return { removedBytes }
  }

  async close(): Promise<void> {
    this.#closed = true
    while (this.#underway.size > 0 || this.#scheduled.size > 0) {
      await Promise.allSettled(this.#underway)
      for (const hub of this.#scheduled) this.#pump(hub)
    }
    this.#listeners.clear()
    this.#reader.close()
    await this.#link.close()
  }

  #hub(name: HubName): HubLog {
    let hub = this.#hubs.get(name)
    if (hub === undefined) {
      hub = new HubLog(name, join(this.#options.folder, name), this.#settings)
      this.#hubs.set(name, hub)
    }
    return hub
  }

  /** Cuts once the events that this turn of the event loop brings have come in. */
  #schedule(hub: HubLog): void {
    if (this.#scheduled.size === 0) {
      setImmediate(() => {
        for (const hub of this.#scheduled) this.#pump(hub)
      })
    }
    this.#scheduled.add(hub)
  }

  #pump(hub: HubLog): void {
    this.#scheduled.delete(hub)
    if (hub.busy || !hub.hasWaiting) return
    hub.busy = true
    void this.#track(
      this.#commit(hub).finally(() => {
        hub.busy = false
        this.#pump(hub)
      }),
    )
  }

  /** Commits what waits, up to the size of a batch. Sequences are given out only here: a failed batch leaves no gap. */
  async #commit(hub: HubLog): Promise<void> {
    const time = Math.max(this.#options.clock.now(), hub.lastTime)
    const blocks = hub.take(this.#settings.maxBatchBytes)
    const bytes = blocks.reduce((sum, { writer }) => sum + writer.length, 0)
    const positions = firstSequences(hub, blocks)
    try {
      const target = hub.target(time)
      if (target.path !== hub.segments.at(-1)?.path) createFolder(join(this.#options.folder, hub.hub))
      const { path, origins } = target
      const rows = blocks.map(({ partition, writer }, index) => ({
        partition,
        first: positions[index] ?? 0,
        count: writer.count,
        bytes: writer.written,
      }))
      await this.#link.request(
        { kind: 'commit', hub: hub.hub, path, origins, time, blocks: rows },
        rows.map((row) => row.bytes.buffer),
      )
      hub.committed(target, time, blocks)
    } catch (error) {
      for (const { waiters } of blocks) for (const { reject } of waiters) reject(error)
      return
    } finally {
      this.#waitingBytes -= bytes
    }
    acknowledge(blocks, positions, time)
    this.#notify(hub.hub, blocks)
  }

  #notify(hub: HubName, blocks: readonly PendingBlock[]): void {
    for (const partition of new Set(blocks.map((block) => block.partition))) {
      for (const listener of this.#listeners.get(`${hub}/${partition}`) ?? []) {
        try {
          listener()
        } catch (error) {
          this.#options.onError(error)
        }
      }
    }
  }

  #blockAt(hub: HubName, partition: number, sequence: number): ReturnType<BlockReader['block']> {
    const segments = this.#hubs.get(hub)?.segments ?? []
    const holder = segments.findLastIndex((segment) => (segment.origins.get(partition)?.next ?? 0) <= sequence)
    for (const segment of segments.slice(Math.max(0, holder))) {
      const block = this.#reader.block(segment.path, hub, partition, sequence)
      if (block !== null) return block
    }
    return null
  }

  /**
   * When even the newest event of a hub is older than `before`, begins an empty segment that carries the sequences on,
   * so that the one written last can go too.
   */
  async #retire(hub: HubLog, before: number): Promise<void> {
    const current = hub.segments.at(-1)
    if (current === undefined || hub.busy || hub.hasWaiting || current.lastTime >= before || current.size === 0) return
    hub.busy = true
    const target = hub.successor(current)
    const { path, origins } = target
    try {
      await this.#track(this.#link.request({ kind: 'begin', hub: hub.hub, path, origins }))
      hub.began(target)
    } finally {
      hub.busy = false
      if (hub.hasWaiting) this.#schedule(hub)
    }
  }

  /** Forgets the segments that have to go, and returns them. The one being written to always stays. */
  #takeOld(limits: { before: number; maxBytes: number }): readonly Segment[] {
    const taken: Segment[] = []
    const takeFrom = (hub: HubLog): void => {
      const oldest = hub.segments[0]
      if (oldest === undefined) return
      hub.dropOldest()
      taken.push(oldest)
    }
    const hubs = [...this.#hubs.values()]
    for (const hub of hubs)
      while (hub.segments.length > 1 && (hub.segments[0]?.lastTime ?? 0) < limits.before) takeFrom(hub)
    let bytes = hubs.flatMap((hub) => hub.segments).reduce((sum, { path }) => sum + segmentSize(path), 0)
    while (bytes > limits.maxBytes) {
      const candidates = hubs.filter((hub) => hub.segments.length > 1)
      const [hub] = candidates.sort((a, b) => (a.segments[0]?.lastTime ?? 0) - (b.segments[0]?.lastTime ?? 0))
      if (hub === undefined) break
      bytes -= segmentSize(hub.segments[0]?.path ?? '')
      takeFrom(hub)
    }
    return taken
  }

  #track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      () => undefined,
      () => undefined,
    )
    this.#underway.add(settled)
    void settled.then(() => this.#underway.delete(settled))
    return work
  }
}

function firstSequences(hub: HubLog, blocks: readonly PendingBlock[]): readonly number[] {
  const next = new Map<number, number>()
  return blocks.map(({ partition, writer }) => {
    const first = next.get(partition) ?? hub.nextSequence(partition)
    next.set(partition, first + writer.count)
    return first
  })
}

function acknowledge(blocks: readonly PendingBlock[], firsts: readonly number[], enqueuedTime: number): void {
  for (const [index, { partition, waiters }] of blocks.entries()) {
    let sequence = firsts[index] ?? 0
    for (const { resolve } of waiters) resolve({ partition, sequence: sequence++, enqueuedTime })
  }
}

function overloaded(): HubError {
  return new HubError('throttled', `${SUBJECT} has more waiting than the disk takes; retry in a moment.`, {
    retryAfter: 1,
  })
}
