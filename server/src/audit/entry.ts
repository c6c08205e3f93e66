import { createHash } from 'node:crypto'
import { canonicalJson } from './canonical-json.ts'
import type { Json } from './canonical-json.ts'

/**
 * `intent` is written before an act and `outcome` after it; `event` is what happened without anybody's order;
 * `checkpoint` signs what came before; `key` tells which key signs from there on.
 */
const ENTRY_KINDS = ['intent', 'outcome', 'event', 'checkpoint', 'key'] as const
type EntryKind = (typeof ENTRY_KINDS)[number]

export interface Actor {
  readonly name: string
  /** Of an operator; of a service the rights are those of its policy. */
  readonly role: string | null
  readonly method: 'token' | 'certificate' | 'policy' | 'server'
}

/** What somebody wants written down. Values hold no secret. */
export interface AuditRecord {
  readonly kind: EntryKind
  /** e.g. `authority.delete`. */
  readonly act: string
  readonly who: Actor
  /** Address and protocol; null when the server itself acted. */
  readonly from: { readonly address: string; readonly protocol: string } | null
  readonly trackingId: string | null
  /** What was acted upon: names and ids. */
  readonly target?: Json
  readonly before?: Json
  readonly after?: Json
  readonly detail?: Json
  /** Of an outcome: the sequence of its intent, and whether the act was done. */
  readonly of?: number
  readonly result?: 'done' | 'failed'
}

/** A record in its place of the chain. */
export interface AuditEntry extends AuditRecord {
  /** From 1, without gaps: the order of the log. Times may repeat themselves, sequences never. */
  readonly sequence: number
  /** ISO 8601; never earlier than the one before, except in an entry `clock.went-back`. */
  readonly time: string
  /** Hash of the entry before; 64 zeros in the first one. */
  readonly previous: string
  /** SHA-256, hex, of the canonical JSON of everything else. */
  readonly hash: string
}

export const NO_HASH = '0'.repeat(64)
export const CLOCK_WENT_BACK = 'clock.went-back'
/** The event that tells of entries that were taken off, by an operator who held a copy. */
export const PRUNED = 'audit.pruned'

export interface Place {
  readonly sequence: number
  readonly time: string
  readonly previous: string
}

/** Puts a record into its place: the entry, and the line of the file (without its end). */
export function placed(record: AuditRecord, place: Place): { readonly entry: AuditEntry; readonly line: string } {
  const hash = hashOf({ ...record, ...place })
  const entry = { ...record, ...place, hash }
  return { entry, line: canonicalJson(entry as unknown as Json) }
}

/** Reads a line as it must have been written; a string says what is wrong with it. */
export function readLine(line: string): AuditEntry | string {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return 'is no JSON'
  }
  if (!isEntry(value)) return 'is no entry'
  if (canonicalJson(value as unknown as Json) !== line) return 'is not in the canonical form'
  return value
}

/** What the hash of an entry must be. */
export function hashOf(entry: Omit<AuditEntry, 'hash'> & { readonly hash?: string }): string {
  const { hash: _hash, ...rest } = entry
  return createHash('sha256')
    .update(canonicalJson(rest as unknown as Json), 'utf8')
    .digest('hex')
}

function isEntry(value: unknown): value is AuditEntry {
  if (typeof value !== 'object' || value === null) return false
  const { sequence, time, previous, hash, kind, act } = value as Record<string, unknown>
  return (
    Number.isSafeInteger(sequence) &&
    (sequence as number) > 0 &&
    typeof time === 'string' &&
    !Number.isNaN(Date.parse(time)) &&
    isHash(previous) &&
    isHash(hash) &&
    ENTRY_KINDS.some((each) => each === kind) &&
    typeof act === 'string'
  )
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}
