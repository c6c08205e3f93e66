import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { backup } from 'node:sqlite'
import type { SnapshotFile } from '../ports/snapshots.ts'
import { createPrivateFile, openReader } from './database.ts'
import { parseSegmentFile } from './segment.ts'

/** All pages in one step: the copy shows one moment, and writes that come meanwhile do not start it over. */
const ALL_PAGES = 2 ** 31 - 1

/**
 * Copies the stores of a running server into `staging`, one file at a time. The registry comes first, so that no position
 * in it lies past the end of the telemetry. Of each hub the newest segment comes first: retention takes the oldest away,
 * so that the first one missing ends the hub's part without a gap.
 */
export async function* snapshotStores(folder: string, staging: string): AsyncGenerator<SnapshotFile> {
  yield copyOf(folder, 'registry.db', staging)
  const telemetry = join(folder, 'telemetry')
  for (const hub of readdirSync(telemetry).sort()) {
    const segments = readdirSync(join(telemetry, hub)).filter((file) => parseSegmentFile(file) !== null)
    for (const file of segments.toSorted().toReversed()) {
      const path = `telemetry/${hub}/${file}`
      // Being made at this moment: nothing in it has been acknowledged yet.
      if (existsSync(join(folder, `${path}-journal`))) continue
      const copy = await copyOf(folder, path, staging).catch((error: unknown) => {
        if (existsSync(join(folder, path))) throw error
        return null
      })
      if (copy === null) break
      yield copy
    }
  }
}

async function copyOf(folder: string, path: string, staging: string): Promise<SnapshotFile> {
  const copy = join(staging, path)
  mkdirSync(dirname(copy), { recursive: true, mode: 0o700 })
  createPrivateFile(copy)
  const source = openReader(join(folder, path))
  try {
    await backup(source, copy, { rate: ALL_PAGES })
  } finally {
    source.close()
  }
  return { path, copy }
}
