import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { HubError } from '../errors.ts'
import type { Sealer } from '../keys/envelope.ts'
import { openReader, openWriter, schemaVersion, transaction } from './database.ts'
import { UNSEALED_VERSION, blockContext, deleteSegment, originsOf, openSegment, parseSegmentFile } from './segment.ts'

export interface SealOldSegments {
  /** Folder of the log; each hub has a folder in it. */
  readonly folder: string
  readonly sealer: Sealer
  readonly admitsUnsealed: boolean
  readonly onProgress: (message: string) => void
}

/** Blocks copied in one transaction. */
const BATCH = 64
const DRAFT = '.sealing'

/** Seals the segments that an earlier release wrote in the clear, each into a new file that then takes its place. */
export function sealOldSegments({ folder, sealer, admitsUnsealed, onProgress }: SealOldSegments): void {
  const found = readdirSync(folder).flatMap((hub) => unsealedSegments(join(folder, hub)).map((file) => ({ hub, file })))
  for (const [index, { hub, file }] of found.entries()) {
    const path = join(folder, hub, file)
    if (!admitsUnsealed) {
      throw new HubError(
        'internal',
        `The telemetry segment ${path} is in the clear, although everything in this data folder has been sealed ` +
          'before: somebody has put it there. Take it away.',
      )
    }
    sealSegment(path, { hub, file, sealer })
    onProgress(`sealed telemetry segment ${index + 1} of ${found.length}: ${hub}/${file}`)
  }
}

function unsealedSegments(folder: string): readonly string[] {
  const files = readdirSync(folder).sort()
  for (const file of files) {
    if (file.endsWith(`.db${DRAFT}`)) deleteSegment(join(folder, file))
  }
  return files.filter((file) => {
    const path = join(folder, file)
    // With a rollback journal beside it, it holds nothing that was ever acknowledged; the scan clears it away.
    return parseSegmentFile(file) !== null && !existsSync(`${path}-journal`) && versionOf(path) === UNSEALED_VERSION
  })
}

function versionOf(path: string): number {
  const database = openReader(path)
  try {
    return schemaVersion(database)
  } finally {
    database.close()
  }
}

function sealSegment(path: string, place: { hub: string; file: string; sealer: Sealer }): void {
  const draft = path + DRAFT
  // Opened for writing, so that closing it takes its write-ahead log into the file and away.
  const source = openWriter(path)
  const target = openSegment(draft, originsOf(source), {})
  try {
    copyBlocks(source, target, place)
  } finally {
    target.close()
    source.close()
  }
  sync(draft)
  renameSync(draft, path)
  sync(join(path, '..'))
}

function copyBlocks(
  source: DatabaseSync,
  target: DatabaseSync,
  { hub, file, sealer }: { hub: string; file: string; sealer: Sealer },
): void {
  const select = source.prepare(
    `SELECT id, partition, first, count, time, bytes FROM blocks WHERE id > ? ORDER BY id LIMIT ${BATCH}`,
  )
  const insert = target.prepare(
    'INSERT INTO blocks (id, partition, first, count, time, bytes) VALUES (?, ?, ?, ?, ?, ?)',
  )
  for (let after = 0; ;) {
    const rows = select.all(after)
    if (rows.length === 0) return
    transaction(target, () => {
      for (const row of rows) {
        const [id, partition, first, count, time] = ['id', 'partition', 'first', 'count', 'time'].map((name) =>
          Number(row[name]),
        ) as [number, number, number, number, number]
        const context = blockContext({ hub, file, partition, first, count, time })
        insert.run(id, partition, first, count, time, sealer.seal(row['bytes'] as Uint8Array, context))
        after = id
      }
    })
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
