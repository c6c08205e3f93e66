import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { HubError } from '../errors.ts'
import { openReader, openWriter, schemaVersion, transaction } from './database.ts'

/**
 * A segment is one SQLite file with the events that one hub got in one period (or part of it, when it grew large).
 * Retention is deleting the file. One row is one block: events of one partition that were committed together.
 * `origins` says where each partition stood when the segment began, so that sequences and times go on even when
 * every older segment has been deleted. Blocks are sealed, each bound to its place (`blockContext`).
 */
const SCHEMA = `
  CREATE TABLE origins (
    partition INTEGER NOT NULL PRIMARY KEY,
    next INTEGER NOT NULL,
    last_time INTEGER
  ) STRICT;
  CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    time INTEGER NOT NULL,
    bytes BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX blocks_by_sequence ON blocks (partition, first);
  CREATE INDEX blocks_by_time ON blocks (partition, time);
`
/** Of a segment whose blocks are in the clear, as releases before sealing wrote them. */
export const UNSEALED_VERSION = 1
const SCHEMA_VERSION = 2

/** Where a partition stands: `next` is the sequence of the coming event. */
export interface PartitionState {
  readonly partition: number
  readonly next: number
  readonly lastTime: number | null
}

/** Name of a segment file: the start of its period in UTC, and a running number within the period. */
export interface SegmentName {
  /** ms, a whole second. */
  readonly period: number
  readonly part: number
}

const NAME = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-(\d{5})\.db$/

export function segmentFile(name: SegmentName): string {
  const time = new Date(name.period).toISOString().replace(/\.\d+/, '').replace(/[-:]/g, '')
  return `${time}-${String(name.part).padStart(5, '0')}.db`
}

/** Where a block belongs: bytes that were sealed for one place open in no other. */
export function blockContext(place: {
  readonly hub: string
  readonly file: string
  readonly partition: number
  readonly first: number
  readonly count: number
  readonly time: number
}): string {
  const { hub, file, partition, first, count, time } = place
  return `${hub}/${file}/${partition}/${first}/${count}/${time}`
}

export function parseSegmentFile(file: string): SegmentName | null {
  const match = NAME.exec(file)
  if (match === null) return null
  const [year, month, day, hour, minute, second, part] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  return { period: Date.UTC(year, month - 1, day, hour, minute, second), part }
}

/** Opens a segment for writing, made with these origins when it is new. */
export function openSegment(
  path: string,
  origins: readonly PartitionState[],
  limits: { maxPages?: number | undefined },
): DatabaseSync {
  const database = openWriter(path, limits)
  try {
    if (schemaVersion(database) === 0) {
      transaction(database, () => {
        database.exec(SCHEMA)
        const insert = database.prepare('INSERT INTO origins (partition, next, last_time) VALUES (?, ?, ?)')
        for (const { partition, next, lastTime } of origins) insert.run(partition, next, lastTime)
        database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`)
      })
    }
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

export interface FoundSegment {
  readonly name: SegmentName
  readonly path: string
  readonly origins: readonly PartitionState[]
}

/** Reads what a hub's folder holds, oldest first, and clears away what an interrupted trim or start left behind. */
export function scanSegments(folder: string): readonly FoundSegment[] {
  const found: FoundSegment[] = []
  for (const file of existsSync(folder) ? readdirSync(folder).sort() : []) {
    const path = join(folder, file)
    const owner = file.replace(/-(?:journal|wal|shm)$/, '')
    if (owner !== file && parseSegmentFile(owner) !== null && !existsSync(join(folder, owner))) {
      rmSync(path, { force: true })
    }
    const name = parseSegmentFile(file)
    if (name === null) continue
    // It was being made when the server stopped: nothing in it was ever acknowledged. A rollback journal exists only
    // while a new file is turned to write-ahead logging, which is on the disk before the first commit is.
    const origins = existsSync(`${path}-journal`) ? null : readSegment(path, originsOf)
    if (origins === null) deleteSegment(path)
    else found.push({ name, path, origins })
  }
  return found
}

/** Where the partitions stand after the last block of a segment. */
export function segmentEnds(path: string): readonly PartitionState[] {
  const ends = readSegment(path, (database) => {
    const written = statesOf(
      database,
      `SELECT partition, first + count AS next, time AS last_time FROM blocks
       WHERE (partition, first) IN (SELECT partition, max(first) FROM blocks GROUP BY partition)`,
    )
    return new Map([...originsOf(database), ...written].map((state) => [state.partition, state]))
  })
  return [...(ends ?? new Map<number, PartitionState>()).values()]
}

/** null: the segment has no content yet. */
function readSegment<T>(path: string, read: (database: DatabaseSync) => T): T | null {
  const database = openReader(path)
  try {
    const version = schemaVersion(database)
    if (version === 0) return null
    if (version <= SCHEMA_VERSION) return read(database)
    throw new HubError(
      'internal',
      `The telemetry segment ${path} was written by a newer Holdfast (schema ${version}; this one knows up to ${SCHEMA_VERSION}).`,
    )
  } finally {
    database.close()
  }
}

export function originsOf(database: DatabaseSync): readonly PartitionState[] {
  return statesOf(database, 'SELECT partition, next, last_time FROM origins')
}

function statesOf(database: DatabaseSync, sql: string): readonly PartitionState[] {
  return database
    .prepare(sql)
    .all()
    .map((row) => ({
      partition: Number(row['partition']),
      next: Number(row['next']),
      lastTime: row['last_time'] === null ? null : Number(row['last_time']),
    }))
}

/** The database goes first: without it the other files mean nothing, while it could not be read whole without them. */
export function deleteSegment(path: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(path + suffix, { force: true })
}

/** Bytes that a segment takes on the disk. */
export function segmentSize(path: string): number {
  return sizeOf(path) + sizeOf(`${path}-wal`)
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
