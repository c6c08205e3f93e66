import { basename } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { HubError } from '../errors.ts'
import { SealError } from '../keys/envelope.ts'
import type { Sealer } from '../keys/envelope.ts'
import type { HubName } from '../model/ids.ts'
import type { StoredEvent } from '../model/message.ts'
import { openReader } from './database.ts'
import { decodeBlock } from './event-codec.ts'
import { guarded } from './fault.ts'
import { blockContext } from './segment.ts'

/** Segments kept open for reading. */
const MAX_OPEN = 16
/** What a decoded event takes in memory beside its stored bytes, about; more with many properties. */
const EVENT_OVERHEAD = 640

export interface Block {
  readonly first: number
  readonly events: readonly StoredEvent[]
  /** Bytes of each event as stored. */
  readonly sizes: Uint32Array
  /** What it takes in memory, about. */
  readonly bytes: number
}

interface OpenSegment {
  readonly database: DatabaseSync
  readonly atOrBefore: StatementSync
  readonly after: StatementSync
  readonly bytes: StatementSync
  readonly seek: StatementSync
}

/**
 * Reads committed blocks. The blocks read last stay decoded, up to `cacheBytes` of memory, so that several
 * consumer groups at the tail share one decoding, and a reader that takes a block in small bites does not repeat it.
 */
export class BlockReader {
  readonly #cacheBytes: number
  readonly #sealer: Sealer
  /** Both in order of use, the longest unused first. */
  readonly #open = new Map<string, OpenSegment>()
  readonly #blocks = new Map<string, Block>()
  #cached = 0

  constructor(cacheBytes: number, sealer: Sealer) {
    this.#sealer = sealer
    this.#cacheBytes = cacheBytes
  }

  /** The block of the segment that holds `sequence`, or the first one behind it; null when there is neither. */
  block(path: string, hub: HubName, partition: number, sequence: number): Block | null {
    return this.#cachedBlock(`${hub}/${partition}/${sequence}`) ?? this.#findBlock(path, hub, partition, sequence)
  }

  /** Sequence of the partition's first event in the segment that is not older than `time`, or null. */
  seek(path: string, partition: number, time: number): number | null {
    return guarded(subject(path), () => {
      const row = this.#segment(path).seek.get(partition, time)
      return row === undefined ? null : Number(row['first'])
    })
  }

  /** Lets go of a segment that is about to be deleted. */
  forget(path: string): void {
    this.#open.get(path)?.database.close()
    this.#open.delete(path)
  }

  /** Forgets the decoded blocks: some have been written anew. */
  clear(): void {
    this.#blocks.clear()
    this.#cached = 0
  }

  close(): void {
    for (const path of this.#open.keys()) this.forget(path)
    this.clear()
  }

  #findBlock(path: string, hub: HubName, partition: number, sequence: number): Block | null {
    return guarded(subject(path), () => {
      const { atOrBefore, after, bytes } = this.#segment(path)
      const before = atOrBefore.get(partition, sequence)
      const holds = before !== undefined && Number(before['first']) + Number(before['count']) > sequence
      const row = holds ? before : after.get(partition, sequence)
      if (row === undefined) return null
      const first = Number(row['first'])
      const key = `${hub}/${partition}/${first}`
      const cached = this.#cachedBlock(key)
      if (cached !== null) return cached
      const stored = bytes.get(Number(row['id']))?.['bytes'] as Uint8Array
      const count = Number(row['count'])
      const enqueuedTime = Number(row['time'])
      const place = { hub, file: basename(path), partition, first, count, time: enqueuedTime }
      const decoded = decodeBlock(this.#opened(path, stored, place), hub, count)
      const events = decoded.events.map((event, index) => ({
        position: { partition, sequence: first + index, enqueuedTime },
        event,
      }))
      return this.#keep(key, { first, events, sizes: decoded.sizes, bytes: stored.length + count * EVENT_OVERHEAD })
    })
  }

  #opened(path: string, stored: Uint8Array, place: Parameters<typeof blockContext>[0]): Uint8Array {
    try {
      return this.#sealer.open(stored, blockContext(place))
    } catch (cause) {
      if (!(cause instanceof SealError)) throw cause
      const { partition, first, count } = place
      throw new HubError(
        'internal',
        `${subject(path)} is damaged: the block of partition ${partition} with events ${first} to ${first + count - 1} ` +
          `cannot be opened: ${cause.message}.`,
        { cause },
      )
    }
  }

  #cachedBlock(key: string): Block | null {
    const block = this.#blocks.get(key)
    if (block === undefined) return null
    this.#blocks.delete(key)
    this.#blocks.set(key, block)
    return block
  }

  #keep(key: string, block: Block): Block {
    this.#blocks.set(key, block)
    this.#cached += block.bytes
    for (const [oldest, { bytes }] of this.#blocks) {
      if (this.#cached <= this.#cacheBytes || oldest === key) break
      this.#blocks.delete(oldest)
      this.#cached -= bytes
    }
    return block
  }

  #segment(path: string): OpenSegment {
    const segment = this.#open.get(path) ?? openStatements(path)
    this.#open.delete(path)
    this.#open.set(path, segment)
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= MAX_OPEN) break
      this.forget(oldest)
    }
    return segment
  }
}

function openStatements(path: string): OpenSegment {
  const database = openReader(path)
  const select = 'SELECT id, first, count, time FROM blocks WHERE partition = ? AND first'
  return {
    database,
    atOrBefore: database.prepare(`${select} <= ? ORDER BY first DESC LIMIT 1`),
    after: database.prepare(`${select} > ? ORDER BY first LIMIT 1`),
    bytes: database.prepare('SELECT bytes FROM blocks WHERE id = ?'),
    seek: database.prepare('SELECT first FROM blocks WHERE partition = ? AND time >= ? ORDER BY time, id LIMIT 1'),
  }
}

function subject(path: string): string {
  return `The telemetry segment ${path}`
}
