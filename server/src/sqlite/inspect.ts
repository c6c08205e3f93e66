import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { HubError } from '../errors.ts'
import { parseHubName } from '../model/ids.ts'
import type { HubName } from '../model/ids.ts'
import type { StoreFacts, StoredPartition } from '../ports/snapshots.ts'
import { openReader, schemaVersion } from './database.ts'
import { guarded } from './fault.ts'
import { REGISTRY_MIGRATIONS } from './schema.ts'
import { scanSegments, segmentEnds } from './segment.ts'

/**
 * Looks through the stores of a folder that no server runs on: every page of every file, and whether each hub's segments
 * follow each other without a gap. Throws HubError for what is damaged or was written by a newer release.
 */
export function inspectStores(folder: string): StoreFacts {
  return { ...inspectRegistry(join(folder, 'registry.db')), partitions: inspectTelemetry(join(folder, 'telemetry')) }
}

function inspectRegistry(path: string): Omit<StoreFacts, 'partitions'> {
  requireWhole(path)
  const database = openReader(path)
  try {
    const registrySchema = schemaVersion(database)
    if (registrySchema > REGISTRY_MIGRATIONS.length) {
      throw new HubError(
        'internal',
        `The registry was written by a newer Holdfast (schema ${registrySchema}; this one knows up to ${REGISTRY_MIGRATIONS.length}). Use that version.`,
      )
    }
    const row = database.prepare('SELECT total(count) AS devices FROM device_counts').get()
    return { registrySchema, devices: Number(row?.['devices']) }
  } finally {
    database.close()
  }
}

function inspectTelemetry(folder: string): readonly StoredPartition[] {
  // No hub has had an event yet.
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .sort()
    .map(parseHubName)
    .flatMap((hub) => inspectHub(hub, join(folder, hub)))
}

function inspectHub(hub: HubName, folder: string): StoredPartition[] {
  const segments = scanSegments(folder)
  const begins = new Map(segments[0]?.origins.map(({ partition, next }) => [partition, next]))
  for (const [index, { path }] of segments.entries()) {
    requireWhole(path)
    const following = segments[index + 1]
    const isFollowed = following === undefined || sameEnds(segmentEnds(path), following.origins)
    if (!isFollowed) throw new HubError('internal', `A segment between ${path} and ${following.path} is missing.`)
  }
  const last = segments.at(-1)
  const ends = last === undefined ? [] : segmentEnds(last.path)
  return ends
    .map(({ partition, next, lastTime }) => {
      return { hub, partition, begin: begins.get(partition) ?? 0, next, lastEnqueuedTime: lastTime }
    })
    .sort((a, b) => a.partition - b.partition)
}

function sameEnds(ends: ReturnType<typeof segmentEnds>, origins: ReturnType<typeof segmentEnds>): boolean {
  const next = new Map(ends.map((end) => [end.partition, end.next]))
  return origins.length === next.size && origins.every((origin) => next.get(origin.partition) === origin.next)
}

/** https://www.sqlite.org/pragma.html#pragma_integrity_check */
function requireWhole(path: string): void {
  const found = guarded(`The file ${path}`, () => {
    const database = openReader(path)
    try {
      return database.prepare('PRAGMA integrity_check(1)').get()?.['integrity_check']
    } finally {
      database.close()
    }
  })
  if (found !== 'ok') throw new HubError('internal', `The file ${path} is damaged: ${String(found)}.`)
}
