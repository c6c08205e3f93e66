import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkpointOf } from './checkpoint.ts'
import { hashOf, NO_HASH, readLine } from './entry.ts'
import type { AuditEntry } from './entry.ts'
import { segmentsOf } from './segments.ts'
import type { Segment } from './segments.ts'

/** Where a log ends, as its last file shows it. */
export interface End {
  readonly segments: readonly Segment[]
  readonly sequence: number
  readonly hash: string
  /** ISO 8601, or null in an empty log. */
  readonly time: string | null
  /** ISO 8601, of the first entry of the last file; null in an empty log. */
  readonly begun: string | null
  /** Bytes of the last file. */
  readonly length: number
  /** Id of the key that signs; null in an empty log. */
  readonly keyId: string | null
  /** Entries after the last checkpoint. */
  readonly unsigned: number
  readonly lastAct: string | null
  /** Unfinished bytes that were set aside. */
  readonly torn: readonly { readonly file: string; readonly bytes: number; readonly sha256: string }[]
  /** What is wrong in a way that a crash cannot explain; nothing may be appended then. */
  readonly damage: string | null
}

/**
 * Finds the end of a log. What a crash left unfinished behind the last whole entry was never acknowledged: it is moved
 * into a file of its own, which stays. Anything else that is wrong is somebody's doing and is left as it is.
 */
export function findEnd(folder: string): End {
  const torn: End['torn'][number][] = []
  for (let segments = segmentsOf(folder); ;) {
    const last = segments.at(-1)
    if (last === undefined) return { ...EMPTY, torn }
    const bytes = readFileSync(last.path)
    const { entries, length, damage } = scan(bytes)
    if (damage === null && length < bytes.length) torn.push(setAside(folder, last, bytes, length))
    const end = entries.at(-1)
    if (end !== undefined || damage !== null) return { ...EMPTY, ...describe(entries), segments, length, torn, damage }
    // The file was begun and never got its first entry.
    unlinkSync(last.path)
    segments = segments.slice(0, -1)
  }
}

const EMPTY: End = {
  segments: [],
  sequence: 0,
  hash: NO_HASH,
  time: null,
  begun: null,
  length: 0,
  keyId: null,
  unsigned: 0,
  lastAct: null,
  torn: [],
  damage: null,
}

function describe(entries: readonly AuditEntry[]): Partial<End> {
  const end = entries.at(-1)
  if (end === undefined) return {}
  const signer = entries.findLast(({ kind }) => kind === 'checkpoint' || kind === 'key')
  const lastCheckpoint = entries.findLastIndex(({ kind }) => kind === 'checkpoint')
  return {
    sequence: end.sequence,
    hash: end.hash,
    time: end.time,
    begun: entries[0]?.time ?? null,
    keyId: signer === undefined ? null : keyIdIn(signer),
    unsigned: entries.length - 1 - lastCheckpoint,
    lastAct: entries.findLast(({ kind }) => kind !== 'checkpoint')?.act ?? null,
  }
}

function keyIdIn(entry: AuditEntry): string | null {
  const { keyId } = (entry.detail ?? {}) as { keyId?: unknown }
  return typeof keyId === 'string' && (entry.kind === 'key' || checkpointOf(entry) !== null) ? keyId : null
}

function scan(bytes: Buffer): { entries: AuditEntry[]; length: number; damage: string | null } {
  const entries: AuditEntry[] = []
  let length = 0
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, length)) {
    const line = bytes.toString('utf8', length, end)
    const entry = readLine(line)
    const before = entries.at(-1)
    const isUnfinished = typeof entry === 'string' && isGarbage(bytes.toString('utf8', length))
    if (isUnfinished) break
    const wrong =
      typeof entry === 'string'
        ? entry
        : entry.hash !== hashOf(entry)
          ? 'does not have the hash that it names'
          : before !== undefined && (entry.sequence !== before.sequence + 1 || entry.previous !== before.hash)
            ? 'does not follow the one before'
            : null
    if (wrong !== null || typeof entry === 'string')
      return { entries, length, damage: `entry ${(before?.sequence ?? 0) + 1} ${wrong}` }
    entries.push(entry)
    length = end + 1
  }
  return { entries, length, damage: null }
}

/** A file that grew before its bytes arrived shows zeros where they are missing; no line after them is whole. */
function isGarbage(rest: string): boolean {
  return (
    rest.split('\n').every((line) => line.includes('\0') || typeof readLine(line) === 'string') && rest.includes('\0')
  )
}

function setAside(folder: string, { path, first }: Segment, bytes: Buffer, length: number): End['torn'][number] {
  const tail = bytes.subarray(length)
  const sha256 = createHash('sha256').update(tail).digest('hex')
  const file = `torn-${String(first).padStart(12, '0')}-${sha256.slice(0, 16)}`
  writeFileSync(join(folder, file), tail, { mode: 0o600, flush: true })
  const descriptor = openSync(path, 'r+')
  try {
    ftruncateSync(descriptor, length)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  return { file, bytes: tail.length, sha256 }
}
