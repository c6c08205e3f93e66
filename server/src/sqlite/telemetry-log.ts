import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { HubError } from '../errors.ts'
import type { DataKey, Sealer } from '../keys/envelope.ts'
import { sealerFor } from '../keys/sealer-for.ts'
import type { SealingKeys } from '../keys/sealer-for.ts'
import { parseHubName } from '../model/ids.ts'
import type { DeviceId, HubName } from '../model/ids.ts'
import type { HubEvent, Position, StoredEvent } from '../model/message.ts'
import type { Clock } from '../ports/clock.ts'
import type { PartitionBounds, TelemetryLog } from '../ports/telemetry-log.ts'
import { BlockReader } from './block-reader.ts'
import { CommitListeners } from './commit-listeners.ts'
import { createFolder } from './folder.ts'
import { HubLog } from './hub-log.ts'
import { LogCommits } from './log-commits.ts'
import { LogUpkeep } from './log-upkeep.ts'
import type { LogRequest, LogWorkerData } from './log-worker.ts'
import { sealOldSegments } from './seal-segments.ts'
import type { TelemetryLogSettings } from './telemetry-log-settings.ts'
import { Underway } from './underway.ts'
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
  readonly #link: WorkerLink<LogRequest, null>
  readonly #options: TelemetryLogOptions
  readonly #settings: TelemetryLogSettings
  readonly #reader: BlockReader
  /** One for each hub that the server holds or once held. */
  readonly #hubs: Map<HubName, HubLog>
  readonly #listeners: CommitListeners
  /** Work that `close` has to wait for. */
  readonly #underway = new Underway()
  readonly #commits: LogCommits
  readonly #upkeep: LogUpkeep
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
    this.#listeners = new CommitListeners(options.onError)
    const shared = { link, underway: this.#underway }
    this.#commits = new LogCommits({ ...options, ...shared, listeners: this.#listeners })
    this.#upkeep = new LogUpkeep({
      ...shared,
      commits: this.#commits,
      reader: this.#reader,
      hubs: this.#hubs,
      subject: SUBJECT,
    })
  }

  append(partition: number, event: HubEvent): Promise<Position> {
    if (this.#closed) return Promise.reject(new HubError('shutting-down', `${SUBJECT} is closed.`))
    if (!Number.isInteger(partition) || partition < 0 || partition >= MAX_PARTITIONS) {
      return Promise.reject(new HubError('partition-not-found', `There is no partition ${partition}.`))
    }
    return this.#commits.append(this.#hub(event.hub), partition, event)
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
    return this.#listeners.add(hub, partition, listener)
  }

  trim(limits: { before: number; maxBytes: number }): Promise<{ removedBytes: number }> {
    return this.#upkeep.trim(limits)
  }

  erase(hub: HubName, deviceId: DeviceId, keepGenerationId: string | null): Promise<{ events: number }> {
    return this.#upkeep.erase(hub, { deviceId, keepGenerationId }, () => this.#keys)
  }

  async addKey(key: DataKey): Promise<void> {
    // The reader first: it must open what the writer seals.
    this.#sealer.add(key)
    if (this.#keys !== 'unsealed') this.#keys = [...this.#keys, key]
    await this.#underway.track(this.#link.request({ kind: 'add-key', key }))
  }

  oldestTime(): number | null {
    // A segment without events only carries sequences on.
    const filled = [...this.#hubs.values()].flatMap((hub) => hub.segments.filter(({ size }) => size > 0))
    const periods = filled.map(({ name }) => name.period)
    return periods.length === 0 ? null : Math.min(...periods)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#upkeep.close()
    await this.#commits.drain()
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

  #blockAt(hub: HubName, partition: number, sequence: number): ReturnType<BlockReader['block']> {
    const segments = this.#hubs.get(hub)?.segments ?? []
    const holder = segments.findLastIndex((segment) => (segment.origins.get(partition)?.next ?? 0) <= sequence)
    for (const segment of segments.slice(Math.max(0, holder))) {
      const block = this.#reader.block(segment.path, hub, partition, sequence)
      if (block !== null) return block
    }
    return null
  }
}

function missing(hub: HubName, partition: number, from: number, to: number): HubError {
  const events = `events ${from} to ${to} of partition ${partition} of hub ${hub}`
  return new HubError('internal', `The telemetry log is damaged: ${events} have been taken out of their segment.`)
}
