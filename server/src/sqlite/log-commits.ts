import { join } from 'node:path'
import { HubError } from '../errors.ts'
import type { HubEvent, Position } from '../model/message.ts'
import type { Clock } from '../ports/clock.ts'
import { beginSpan } from '../tracing.ts'
import type { CommitListeners } from './commit-listeners.ts'
import { createFolder } from './folder.ts'
import type { HubLog, PendingBlock } from './hub-log.ts'
import type { LogRequest } from './log-worker.ts'
import type { TelemetryLogSettings } from './telemetry-log-settings.ts'
import type { Underway } from './underway.ts'
import type { WorkerLink } from './worker-link.ts'

export interface LogCommitsParts {
  readonly link: WorkerLink<LogRequest, null>
  readonly listeners: CommitListeners
  readonly underway: Underway
  readonly clock: Clock
  /** Of the log; each hub has a folder in it. */
  readonly folder: string
  readonly settings: Pick<TelemetryLogSettings, 'maxBatchBytes' | 'maxWaitingBytes'>
}

/** Group commit: whatever comes while a hub's batch is on its way to the disk goes with the next one. */
export class LogCommits {
  readonly #parts: LogCommitsParts
  readonly #scheduled = new Set<HubLog>()
  /** Bytes accepted and not yet answered. */
  #waitingBytes = 0

  constructor(parts: LogCommitsParts) {
    this.#parts = parts
  }

  /** Resolves when the event is on the disk. Rejects with `throttled` when too much waits for it. */
  append(hub: HubLog, partition: number, event: HubEvent): Promise<Position> {
    if (this.#waitingBytes >= this.#parts.settings.maxWaitingBytes) return Promise.reject(overloaded())
    return new Promise((resolve, reject) => {
      this.#waitingBytes += hub.add(partition, event, { resolve, reject })
      if (!hub.busy) this.schedule(hub)
    })
  }

  /** Cuts once the events that this turn of the event loop brings have come in. */
  schedule(hub: HubLog): void {
    if (this.#scheduled.size === 0) setImmediate(() => this.#pumpScheduled())
    this.#scheduled.add(hub)
  }

  /** Resolves when everything that was accepted has been answered. */
  async drain(): Promise<void> {
    const { underway } = this.#parts
    while (underway.size > 0 || this.#scheduled.size > 0) {
      await underway.settled()
      this.#pumpScheduled()
    }
  }

  #pumpScheduled(): void {
    for (const hub of this.#scheduled) this.#pump(hub)
  }

  #pump(hub: HubLog): void {
    this.#scheduled.delete(hub)
    if (hub.busy || !hub.hasWaiting) return
    hub.busy = true
    void this.#parts.underway.track(
      this.#commit(hub).finally(() => {
        hub.busy = false
        this.#pump(hub)
      }),
    )
  }

  /** Commits what waits, up to the size of a batch. Sequences are given out only here: a failed batch leaves no gap. */
  async #commit(hub: HubLog): Promise<void> {
    const time = Math.max(this.#parts.clock.now(), hub.lastTime)
    const blocks = hub.take(this.#parts.settings.maxBatchBytes)
    const bytes = sizeOf(blocks)
    const positions = firstSequences(hub, blocks)
    const span = beginSpan('telemetry.commit', { 'holdfast.hub': hub.hub, 'holdfast.bytes': bytes })
    try {
      const target = hub.target(time)
      if (target.path !== hub.segments.at(-1)?.path) createFolder(join(this.#parts.folder, hub.hub))
      const { path, origins } = target
      const rows = blocks.map(({ partition, writer }, index) => ({
        partition,
        first: positions[index] ?? 0,
        count: writer.count,
        bytes: writer.written,
      }))
      await this.#parts.link.request(
        { kind: 'commit', hub: hub.hub, path, origins, time, blocks: rows },
        rows.map((row) => row.bytes.buffer),
      )
      hub.committed(target, time, blocks)
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
    this.#parts.listeners.tell(
      hub.hub,
      blocks.map(({ partition }) => partition),
    )
    span.note({ 'holdfast.events': blocks.reduce((sum, { writer }) => sum + writer.count, 0) })
    span.end()
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

function overloaded(): HubError {
  return new HubError('throttled', 'The telemetry log has more waiting than the disk takes; retry in a moment.', {
    retryAfter: 1,
  })
}
