import { join } from 'node:path'
import type { HubName } from '../model/ids.ts'
import type { HubEvent, Position } from '../model/message.ts'
import type { PartitionBounds } from '../ports/telemetry-log.ts'
import { BlockWriter } from './event-codec.ts'
import { scanSegments, segmentEnds, segmentFile, segmentSize } from './segment.ts'
import type { PartitionState, SegmentName } from './segment.ts'

export interface HubLogLimits {
  /** Length of a period, ms: retention goes by whole periods. */
  readonly periodMs: number
  /** A segment that has grown to this size is followed by another one of the same period. */
  readonly segmentBytes: number
  /** A block that has grown to this size takes no more events; it is the unit of reading. */
  readonly blockBytes: number
}

export interface Waiter {
  readonly resolve: (position: Position) => void
  readonly reject: (error: unknown) => void
}

/** Events that wait together for one partition. */
export interface PendingBlock {
  readonly partition: number
  readonly writer: BlockWriter
  readonly waiters: Waiter[]
}

/** A segment with committed events. */
export interface Segment {
  readonly name: SegmentName
  readonly path: string
  readonly origins: ReadonlyMap<number, PartitionState>
  /** ms; of the newest event in it. */
  lastTime: number
  /** Bytes, about. */
  size: number
}

export interface SegmentTarget {
  readonly name: SegmentName
  readonly path: string
  readonly origins: readonly PartitionState[]
}

const SMALLEST_BLOCK = 1_024

/** One hub's part of the log: its segments, where its partitions stand and what waits to be committed. */
export class HubLog {
  readonly hub: HubName
  /** While true nothing is cut: a batch or the start of a segment is under way. */
  busy = false
  readonly #folder: string
  readonly #limits: HubLogLimits
  readonly #segments: Segment[]
  readonly #states: Map<number, PartitionState>
  /** In the order of their first events; within a partition only the last one still takes events. */
  #waiting: PendingBlock[] = []
  readonly #open = new Map<number, PendingBlock>()
  /** Size of each partition's last block, a guess at the next one's. */
  readonly #lastSizes = new Map<number, number>()
  /** The newest segment when it takes no more events. */
  #ended: Segment | null = null

  /** Reads the folder, which may be missing. */
  constructor(hub: HubName, folder: string, limits: HubLogLimits) {
    this.hub = hub
    this.#folder = folder
    this.#limits = limits
    const found = scanSegments(folder)
    const last = found.at(-1)
    const ends = last === undefined ? [] : segmentEnds(last.path)
    // What a segment ended with is what the next one began with.
    this.#segments = found.map(({ name, path, origins }, index) => ({
      name,
      path,
      origins: byPartition(origins),
      lastTime: latest(found[index + 1]?.origins ?? ends),
      size: segmentSize(path),
    }))
    this.#states = byPartition(ends)
  }

  get segments(): readonly Segment[] {
    return this.#segments
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0
  }

  /** ms; no event of the hub is newer. */
  get lastTime(): number {
    return this.#segments.at(-1)?.lastTime ?? latest([...this.#states.values()])
  }

  bounds(partition: number): PartitionBounds {
    const state = this.#states.get(partition)
    const begin = this.#segments[0]?.origins.get(partition)?.next ?? 0
    return { begin, next: state?.next ?? 0, lastEnqueuedTime: state?.lastTime ?? null }
  }

  /** Encodes the event behind those that wait; returns by how many bytes the waiting blocks have grown. */
  add(partition: number, event: HubEvent, waiter: Waiter): number {
    let block = this.#open.get(partition)
    if (block === undefined || block.writer.length >= this.#limits.blockBytes) {
      const capacity = Math.max(SMALLEST_BLOCK, (this.#lastSizes.get(partition) ?? 0) * 1.25)
      block = { partition, writer: new BlockWriter(Math.ceil(capacity)), waiters: [] }
    }
    const before = block.waiters.length === 0 ? 0 : block.writer.length
    block.writer.add(event)
    block.waiters.push(waiter)
    if (block.waiters.length === 1) {
      this.#waiting.push(block)
      this.#open.set(partition, block)
    }
    return block.writer.length - before
  }

  /** Takes waiting blocks, the oldest first: one at least, and no more once `maxBytes` are reached. */
  take(maxBytes: number): readonly PendingBlock[] {
    let bytes = 0
    let count = 0
    while (count < this.#waiting.length && bytes < maxBytes) bytes += this.#waiting[count++]?.writer.length ?? 0
    const taken = this.#waiting.splice(0, count)
    for (const block of taken) {
      this.#lastSizes.set(block.partition, block.writer.length)
      if (this.#open.get(block.partition) === block) this.#open.delete(block.partition)
    }
    return taken
  }

  nextSequence(partition: number): number {
    return this.#states.get(partition)?.next ?? 0
  }

  /** Where events of this time go: the newest segment, or a new one when the period is over or it has grown large. */
  target(time: number): SegmentTarget {
    const current = this.#segments.at(-1)
    const period = time - (time % this.#limits.periodMs)
    if (current === undefined || period > current.name.period) return this.#newSegment({ period, part: 0 })
    if (current.size < this.#limits.segmentBytes && current !== this.#ended)
      return { ...current, origins: [...current.origins.values()] }
    return this.successor(current)
  }

  /** Lets the next event begin a new segment. */
  endSegment(): void {
    this.#ended = this.#segments.at(-1) ?? null
  }

  successor(segment: Segment): SegmentTarget {
    return this.#newSegment({ period: segment.name.period, part: segment.name.part + 1 })
  }

  /** Takes note of a committed batch. */
  committed(target: SegmentTarget, time: number, blocks: readonly PendingBlock[]): void {
    const segment = this.began(target)
    segment.lastTime = time
    for (const { partition, writer } of blocks) {
      segment.size += writer.length
      this.#states.set(partition, { partition, next: this.nextSequence(partition) + writer.count, lastTime: time })
    }
  }

  /** Takes note that the segment exists. */
  began(target: SegmentTarget): Segment {
    const current = this.#segments.at(-1)
    if (current?.path === target.path) return current
    const { name, path, origins } = target
    const segment = { name, path, origins: byPartition(origins), lastTime: latest(origins), size: 0 }
    this.#segments.push(segment)
    return segment
  }

  /** Forgets the oldest segment. */
  dropOldest(): void {
    this.#segments.shift()
  }

  #newSegment(name: SegmentName): SegmentTarget {
    return { name, path: join(this.#folder, segmentFile(name)), origins: [...this.#states.values()] }
  }
}

function byPartition(states: readonly PartitionState[]): Map<number, PartitionState> {
  return new Map(states.map((state) => [state.partition, state]))
}

function latest(states: readonly PartitionState[]): number {
  return states.reduce((time, state) => Math.max(time, state.lastTime ?? 0), 0)
}
