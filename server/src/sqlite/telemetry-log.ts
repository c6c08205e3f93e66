import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as setImmediateTurn } from 'node:timers/promises'
import { HubError } from '../errors.ts'
import type { DataKey, Sealer } from '../keys/envelope.ts'
import { sealerFor } from '../keys/sealer-for.ts'
import type { SealingKeys } from '../keys/sealer-for.ts'
import { parseHubName } from '../model/ids.ts'
import type { DeviceId, HubName } from '../model/ids.ts'
import type { HubEvent, Position, StoredEvent } from '../model/message.ts'
import type { Clock } from '../ports/clock.ts'
import type { PartitionBounds, TelemetryLog } from '../ports/telemetry-log.ts'
import { beginSpan } from '../tracing.ts'
import { BlockReader } from './block-reader.ts'
import type { EraseRequest } from './erase-worker.ts'
import { createFolder } from './folder.ts'
import { HubLog } from './hub-log.ts'
import type { PendingBlock, Segment } from './hub-log.ts'
import type { LogRequest, LogWorkerData } from './log-worker.ts'
import { takeOldSegments } from './retention.ts'
import { sealOldSegments } from './seal-segments.ts'
import { segmentSize } from './segment.ts'
import type { TelemetryLogSettings } from './telemetry-log-settings.ts'
import { WorkerLink } from './worker-link.ts'

export interface TelemetryLogOptions {
  /** Folder of the log; each hub has a folder in it. */
  readonly folder: string
  readonly clock: Clock
  readonly settings: TelemetryLogSettings
  readonly keys: SealingKeys
  /** Whether segments that an earlier release wrote in the clear are sealed now; otherwise they are refused. */
  readonly admitsUnsealed: boolean
  /** Told how the sealing of older data goes on, in sentences. */
  readonly onProgress: (message: string) => void
  /** Told once when nothing can be written any more. */
  readonly onFailure: (error: HubError) => void
  /** Told when a commit listener throws. */
  readonly onError: (error: unknown) => void
}

const SUBJECT = 'The telemetry log'
const MAX_PARTITIONS = 1_024

/** Opens the log with everything that was ever acknowledged in it. */
export async function openTelemetryLog(options: TelemetryLogOptions): Promise<{
  readonly log: TelemetryLog
  readonly sealing: TelemetrySealing
}> {
  createFolder(options.folder)
  const sealer = sealerFor('telemetry', options.keys)
  sealOldSegments({ ...options, sealer })
  // Before the worker starts: a folder that cannot be read must not leave a thread behind.
  const hubs = readdirSync(options.folder)
    .map(parseHubName)
    .map((hub) => new HubLog(hub, join(options.folder, hub), options.settings))
  const { checkpointBytes, maxPages } = options.settings
  const data: LogWorkerData = { checkpointBytes, maxPages, keys: options.keys }
  const link = await WorkerLink.start<LogRequest, null>('log-worker', {
    data,
    subject: SUBJECT,
    onFailure: options.onFailure,
  })
  const log = new SqliteTelemetryLog(link, sealer, hubs, options)
  return { log, sealing: log }
}

/** What the key commands need of the log. */
export interface TelemetrySealing {
  /** From the next commit on this key seals. */
  addKey(key: DataKey): Promise<void>
  /** ms; every block that is still there was committed at or after this time. null: there is none. */
  oldestTime(): number | null
}

class SqliteTelemetryLog implements TelemetryLog, TelemetrySealing {
  readonly #sealer: Sealer
  #keys: SealingKeys
  /** Trimming and erasing come one after another: both change segments that are complete. */
  #upkeep: Promise<unknown> = Promise.resolve()
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

  constructor(
    link: WorkerLink<LogRequest, null>,
    sealer: Sealer,
    hubs: readonly HubLog[],
    options: TelemetryLogOptions,
  ) {
    this.#link = link
    this.#sealer = sealer
    this.#keys = options.keys
    this.#options = options
    this.#settings = options.settings
    this.#reader = new BlockReader(options.settings.cacheBytes, sealer)
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
      if (block === null || block.first > sequence) throw missing(hub, partition, sequence, (block?.first ?? next) - 1)
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

  trim(limits: { before: number; maxBytes: number }): Promise<{ removedBytes: number }> {
    return this.#inTurn(() => this.#trim(limits))
  }

  erase(hub: HubName, deviceId: DeviceId, keepGenerationId: string | null): Promise<{ events: number }> {
    return this.#inTurn(async () => {
      const log = this.#hubs.get(hub)
      if (log === undefined) return { events: 0 }
      const ended = await this.#endSegment(log)
      const options = { data: { keys: this.#keys }, subject: SUBJECT, onFailure: () => {} }
      const eraser = await WorkerLink.start<EraseRequest, number>('erase-worker', options)
      try {
        let events = 0
        for (const { path } of ended) events += await eraser.request({ hub, path, deviceId, keepGenerationId })
        return { events }
      } finally {
        this.#reader.clear()
        await eraser.close()
      }
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#upkeep.then(() => {
      if (this.#closed) throw new HubError('shutting-down', `${SUBJECT} is closed.`)
      return this.#track(work())
    })
    this.#upkeep = result.catch(() => {})
    return result
  }

  async #trim(limits: { before: number; maxBytes: number }): Promise<{ removedBytes: number }> {
    // First what can go without writing anything: the disk may be full.
    const removed = await this.#drop(takeOldSegments(this.#hubs.values(), limits))
    for (const hub of this.#hubs.values()) await this.#retire(hub, limits.before)
    return { removedBytes: removed + (await this.#drop(takeOldSegments(this.#hubs.values(), limits))) }
  }

  async addKey(key: DataKey): Promise<void> {
    // The reader first: it must open what the writer seals.
    this.#sealer.add(key)
    if (this.#keys !== 'unsealed') this.#keys = [...this.#keys, key]
    await this.#track(this.#link.request({ kind: 'add-key', key }))
  }

  oldestTime(): number | null {
    // A segment without events only carries sequences on.
    const filled = [...this.#hubs.values()].flatMap((hub) => hub.segments.filter(({ size }) => size > 0))
    const periods = filled.map(({ name }) => name.period)
    return periods.length === 0 ? null : Math.min(...periods)
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
    const bytes = sizeOf(blocks)
    const positions = firstSequences(hub, blocks)
    const span = beginSpan('telemetry.commit', { 'holdfast.hub': hub.hub, 'holdfast.bytes': bytes })
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
      span.note({ 'holdfast.events': rows.reduce((sum, { count }) => sum + count, 0) })
      span.end()
    } catch (error) {
      span.end(error)
      // What waits came later and must not overtake these, which their senders will send again.
      const behind = hub.take(Infinity)
      this.#waitingBytes -= sizeOf(behind)
      for (const { waiters } of [...blocks, ...behind]) for (const { reject } of waiters) reject(error)
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
      await this.#track(this.#link.request({ kind: 'begin', hub: hub.hub, path, origins }))
      hub.began(target)
    } finally {
      hub.busy = false
      if (hub.hasWaiting) this.#schedule(hub)
    }
  }

  async #drop(segments: readonly Segment[]): Promise<number> {
    if (segments.length === 0) return 0
    const paths = segments.map((segment) => segment.path)
    const bytes = paths.reduce((sum, path) => sum + segmentSize(path), 0)
    for (const path of paths) this.#reader.forget(path)
    await this.#track(this.#link.request({ kind: 'drop', paths }))
    return bytes
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

function sizeOf(blocks: readonly PendingBlock[]): number {
  return blocks.reduce((sum, { writer }) => sum + writer.length, 0)
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

function missing(hub: HubName, partition: number, from: number, to: number): HubError {
  const events = `events ${from} to ${to} of partition ${partition} of hub ${hub}`
  return new HubError('internal', `The telemetry log is damaged: ${events} have been taken out of their segment.`)
}

function overloaded(): HubError {
  return new HubError('throttled', `${SUBJECT} has more waiting than the disk takes; retry in a moment.`, {
    retryAfter: 1,
  })
}
