import { basename } from 'node:path'
import { workerData } from 'node:worker_threads'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { DataKey } from '../keys/envelope.ts'
import { sealerFor } from '../keys/sealer-for.ts'
import type { SealingKeys } from '../keys/sealer-for.ts'
import { Checkpointer } from './checkpointer.ts'
import { transaction } from './database.ts'
import { blockContext, deleteSegment, openSegment } from './segment.ts'
import type { PartitionState } from './segment.ts'
import { serve } from './worker-service.ts'

export interface LogWorkerData {
  readonly checkpointBytes: number
  readonly maxPages: number | undefined
  readonly keys: SealingKeys
}

interface BlockRow {
  readonly partition: number
  readonly first: number
  readonly count: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Requests of one hub are about its newest segment, except for `drop`. */
export type LogRequest =
  | {
      readonly kind: 'commit'
      readonly hub: string
      readonly path: string
      /** Used when the segment does not exist yet. */
      readonly origins: readonly PartitionState[]
      readonly time: number
      readonly blocks: readonly BlockRow[]
    }
  | { readonly kind: 'begin'; readonly hub: string; readonly path: string; readonly origins: readonly PartitionState[] }
  | { readonly kind: 'drop'; readonly paths: readonly string[] }
  | { readonly kind: 'add-key'; readonly key: DataKey }

interface OpenSegment {
  readonly path: string
  readonly database: DatabaseSync
  readonly insert: StatementSync
  readonly checkpointer: Checkpointer
}

const { checkpointBytes, maxPages, keys } = workerData as LogWorkerData
const sealer = sealerFor('telemetry', keys)
/** The segment that each hub writes to, by hub. */
const open = new Map<string, OpenSegment>()

serve<LogRequest>({
  handle: (request) => {
    if (request.kind === 'drop') for (const path of request.paths) drop(path)
    else if (request.kind === 'add-key') sealer.add(request.key)
    else {
      const segment = segmentOf(request)
      if (request.kind === 'commit') insert(segment, request)
    }
    return null
  },
  afterwards: (request) => {
    if (request.kind !== 'commit') return
    const bytes = request.blocks.reduce((sum, block) => sum + block.bytes.length, 0)
    open.get(request.hub)?.checkpointer.committed(bytes)
  },
  close: () => {
    for (const hub of open.keys()) close(hub)
  },
})

function insert(segment: OpenSegment, { hub, time, blocks }: Extract<LogRequest, { kind: 'commit' }>): void {
  const file = basename(segment.path)
  transaction(segment.database, () => {
    for (const { partition, first, count, bytes } of blocks) {
      const sealed = sealer.seal(bytes, blockContext({ hub, file, partition, first, count, time }))
      segment.insert.run(partition, first, count, time, sealed)
    }
  })
}

function segmentOf({ hub, path, origins }: Extract<LogRequest, { kind: 'commit' | 'begin' }>): OpenSegment {
  const current = open.get(hub)
  if (current?.path === path) return current
  const database = openSegment(path, origins, { maxPages })
  const segment = {
    path,
    database,
    insert: database.prepare('INSERT INTO blocks (partition, first, count, time, bytes) VALUES (?, ?, ?, ?, ?)'),
    checkpointer: new Checkpointer(database, checkpointBytes),
  }
  close(hub)
  open.set(hub, segment)
  return segment
}

/** Closing the last connection copies the write-ahead log into the database. */
function close(hub: string): void {
  const segment = open.get(hub)
  open.delete(hub)
  segment?.checkpointer.close()
  segment?.database.close()
}

function drop(path: string): void {
  for (const [hub, segment] of open) if (segment.path === path) close(hub)
  deleteSegment(path)
}
