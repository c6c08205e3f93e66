import { createHash } from 'node:crypto'
import { createReadStream, readdirSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readLine } from './entry.ts'
import type { AuditEntry } from './entry.ts'

const NAME = /^(\d{12})\.jsonl$/
/** More than any entry has: see `withoutSecrets`. */
const MAX_LINE_BYTES = 1024 * 1024

/** One file of the log; its name is the sequence of its first entry. */
export interface Segment {
  readonly first: number
  readonly path: string
}

/** A file that nothing is appended to any more. */
export interface ClosedSegment {
  readonly first: number
  readonly last: number
  readonly bytes: number
  /** ISO 8601; no entry of it is younger. */
  readonly until: string
}

/** The files of a log in their order. */
export function segmentsOf(folder: string): readonly Segment[] {
  return readdirSync(folder)
    .flatMap((name) => {
      const first = NAME.exec(name)?.[1]
      return first === undefined ? [] : [{ first: Number(first), path: join(folder, name) }]
    })
    .toSorted((a, b) => a.first - b.first)
}

export function segmentPath(folder: string, first: number): string {
  return join(folder, `${String(first).padStart(12, '0')}.jsonl`)
}

/** All but the last of these files. */
export async function describeClosed(segments: readonly Segment[]): Promise<readonly ClosedSegment[]> {
  const closed: ClosedSegment[] = []
  for (const [index, { first, path }] of segments.slice(0, -1).entries()) {
    const next = segments[index + 1]
    if (next === undefined) break
    const { time } = await firstEntryOf(next)
    closed.push({ first, last: next.first - 1, bytes: (await stat(path)).size, until: time })
  }
  return closed
}

/** The checkpoint by which a file begins, or the first entry of the log. */
export async function firstEntryOf({ path }: Segment): Promise<AuditEntry> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_LINE_BYTES), 0, MAX_LINE_BYTES, 0)
    const end = buffer.subarray(0, bytesRead).indexOf(10)
    const entry = readLine(buffer.toString('utf8', 0, end))
    if (typeof entry === 'string') throw new Error(`the first line of ${path} ${entry}`)
    return entry
  } finally {
    await file.close()
  }
}

/** SHA-256, hex, of these files one after the other. */
export async function digestOf(segments: readonly Segment[]): Promise<string> {
  const digest = createHash('sha256')
  for (const { path } of segments) for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer)
  return digest.digest('hex')
}
