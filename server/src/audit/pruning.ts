import { closeSync, fsyncSync, openSync, statSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { HubError } from '../errors.ts'
import { digestOf, firstEntryOf } from './segments.ts'
import type { ClosedSegment, Segment } from './segments.ts'

/** Which entries go, by whoever holds a copy of them. */
export interface PruneOrder {
  /** Sequence of the last one; it must be the last of a file. */
  readonly upTo: number
  /** SHA-256, hex, of the lines of all of them: whoever knows it has read them. */
  readonly sha256: string
}

export interface Pruning {
  readonly files: readonly Segment[]
  readonly pruned: ClosedSegment
  /** Of the last entry that goes, as the first that stays names it. */
  readonly hash: string
}

/**
 * What an order takes off a log of these files. Rejects with `argument-invalid` unless it ends where a file does, the present
 * one apart, and with `precondition-failed` for who does not know what is in them.
 */
export async function judgePrune(segments: readonly Segment[], { upTo, sha256 }: PruneOrder): Promise<Pruning> {
  const next = segments.findIndex(({ first }) => first === upTo + 1)
  const files = segments.slice(0, Math.max(0, next))
  const [oldest, following] = [files[0], segments[next]]
  if (oldest === undefined || following === undefined)
    throw new HubError('argument-invalid', `Entry ${upTo} is not the last of a file of the log that is complete.`)
  if ((await digestOf(files)) !== sha256)
    throw new HubError(
      'precondition-failed',
      `The copy does not hold entries ${oldest.first} to ${upTo} as they are here: export them again. Nothing was pruned.`,
    )
  const { previous: hash, time: until } = await firstEntryOf(following)
  const bytes = files.reduce((sum, { path }) => sum + statSync(path).size, 0)
  return { files, pruned: { first: oldest.first, last: upTo, bytes, until }, hash }
}

/** The oldest first: a crash leaves a log that has its end. */
export async function removeFiles(folder: string, files: readonly Segment[]): Promise<void> {
  for (const { path } of files) await unlink(path)
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
