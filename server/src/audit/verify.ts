import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { CHECKPOINT_EVERY } from './chain.ts'
import { checkpointOf, isGenuine, isSuccessionSigned, keyIdOf } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { CLOCK_WENT_BACK, hashOf, NO_HASH, PRUNED, readLine } from './entry.ts'
import type { AuditEntry } from './entry.ts'
import { segmentsOf } from './segments.ts'

type AuditRule =
  | 'changed'
  | 'removed'
  | 'inserted'
  | 'moved'
  | 'cut-off'
  | 'rewritten'
  | 'unreadable'
  | 'unfinished'
  | 'time-unordered'
  | 'checkpoint-missing'
  | 'signature-wrong'
  | 'key-unknown'
  | 'archive-needed'

export interface AuditFinding {
  readonly rule: AuditRule
  /** Of the entry that it is about. */
  readonly sequence: number
  readonly message: string
}

export interface AuditVerdict {
  readonly entries: number
  readonly first: number
  readonly last: number
  /** Sequence up to which a signature vouches. */
  readonly signedUpTo: number
  /** Entries before `first` that were taken off, as the log itself says; 0 when it is there from its beginning. */
  readonly pruned: number
  /** Digests of the keys that sign, in their order. */
  readonly keys: readonly string[]
  /** At most 1,000. */
  readonly findings: readonly AuditFinding[]
}

/** What was kept outside of the log: without it a log that ends early, or was made anew, looks like any other. */
export interface Anchors {
  readonly checkpoints: readonly Checkpoint[]
  /** Base64 of the DER of a public key that must be one of the log's. */
  readonly publicKey: string | null
}

interface Line {
  readonly where: string
  /** null when the line cannot be read. */
  readonly entry: AuditEntry | null
  readonly problem: string
  /** What its hash should be. */
  readonly hash: string
}

const MAX_FINDINGS = 1_000

/**
 * Judges a copy of a log, offline. `folders`: the log, and what was taken off it, in any order; where they overlap they must
 * say the same. A log that lacks its beginning must say itself that it was taken off, and begin with a checkpoint.
 */
export function verifyAuditLog(folders: string | readonly string[], anchors: Anchors): AuditVerdict {
  const findings: AuditFinding[] = []
  const report = (rule: AuditRule, sequence: number, message: string): void => {
    if (findings.length < MAX_FINDINGS) findings.push({ rule, sequence, message })
  }
  const lines = allLinesOf([folders].flat(), report)
  const start = startOf(lines)
  const inPlace = judgeOrder(lines, start, report)
  const entries = judgeLinks(inPlace, start, report)
  judgeTimes(entries, report)
  const { keys, signedUpTo } = judgeSignatures(entries, start, report)
  // Anybody can write an entry behind the last checkpoint.
  if (start > 1 && !entries.some((entry) => entry.sequence <= signedUpTo && tookOff(entry, start - 1)))
    report('removed', 1, `entries 1 to ${start - 1} were removed: nothing that is signed says who took them off`)
  judgeAnchors(entries, keys, anchors, report)
  const [first, last] = [entries[0]?.sequence ?? 0, entries.at(-1)?.sequence ?? 0]
  return { entries: entries.length, first, last, signedUpTo, pruned: start - 1, keys: keys.map(keyIdOf), findings }
}

/** Lines of all files in the order of the files; what one file says again of another is read once. */
function allLinesOf(folders: readonly string[], report: Report): readonly Line[] {
  const files = folders.flatMap((folder) => segmentsOf(folder)).toSorted((a, b) => a.first - b.first)
  const lines: Line[] = []
  let reached = 0
  for (const { first, path } of files) {
    // Only an archive that overlaps with another one, or with the log, has anything to say again.
    const known = new Set(first > reached ? [] : lines.map(identityOf))
    const read = linesOf(path, report)
    lines.push(...read.filter((line) => line.entry === null || !known.has(identityOf(line))))
    reached = read.reduce((most, { entry }) => Math.max(most, entry?.sequence ?? 0), reached)
  }
  return lines
}

/** Lines are in a canonical form: with the same content and the same named hash they are the same. */
function identityOf({ entry, hash }: Line): string {
  return `${hash} ${entry?.hash}`
}

/** The first entry that must be there: the first one there is, if what stood before it was taken off by an operator. */
function startOf(lines: readonly Line[]): number {
  const first = lines.find(({ entry }) => entry !== null)?.entry?.sequence ?? 1
  return lines.some(({ entry }) => entry !== null && tookOff(entry, first - 1)) ? first : 1
}

function tookOff({ act, detail }: AuditEntry, sequence: number): boolean {
  const { upTo } = (act === PRUNED ? (detail ?? {}) : {}) as { upTo?: unknown }
  return typeof upTo === 'number' && upTo >= sequence
}

type Report = (rule: AuditRule, sequence: number, message: string) => void

function linesOf(path: string, report: Report): readonly Line[] {
  const texts = readFileSync(path, 'utf8').split('\n')
  const rest = texts.pop() ?? ''
  const lines = texts.map((text, index): Line => {
    const read = readLine(text)
    const where = `line ${index + 1} of ${basename(path)}`
    if (typeof read === 'string') return { where, entry: null, problem: read, hash: '' }
    return { where, entry: read, problem: '', hash: hashOf(read) }
  })
  if (rest !== '')
    report('unfinished', lines.at(-1)?.entry?.sequence ?? 0, `${basename(path)} ends in the middle of a line`)
  return lines
}

/** The lines in the order of their sequences, each sequence once. */
function judgeOrder(lines: readonly Line[], start: number, report: Report): readonly Line[] {
  const bySequence = new Map<number, Line>()
  let expected = start
  for (const [index, line] of lines.entries()) {
    const sequence = line.entry?.sequence ?? expected
    if (line.entry === null)
      report('unreadable', sequence, `entry ${sequence} was changed: ${line.where} ${line.problem}`)
    const rival = bySequence.get(sequence)
    if (rival === undefined) bySequence.set(sequence, line)
    else bySequence.set(sequence, judgeRivals(sequence, [rival, line], lines, report))
    const isBehind = sequence < expected && rival === undefined
    const comesLater = sequence > expected && lines.some(({ entry }, at) => at > index && entry?.sequence === expected)
    if (isBehind || comesLater) report('moved', sequence, `entry ${sequence} was moved to ${line.where}`)
    expected = Math.max(expected, sequence + 1)
  }
  return [...bySequence.entries()].toSorted(([a], [b]) => a - b).map(([, line]) => line)
}

/** Of two lines with one sequence the genuine one is the one that its neighbours know. */
function judgeRivals(sequence: number, rivals: readonly [Line, Line], lines: readonly Line[], report: Report): Line {
  const after = new Set(
    lines.filter(({ entry }) => entry?.sequence === sequence + 1).map(({ entry }) => entry?.previous),
  )
  const before = new Set(lines.filter(({ entry }) => entry?.sequence === sequence - 1).map(({ hash }) => hash))
  const score = ({ entry, hash }: Line): number =>
    (after.has(hash) ? 2 : 0) + (entry !== null && before.has(entry.previous) ? 1 : 0)
  const [genuine, other] = score(rivals[1]) > score(rivals[0]) ? [rivals[1], rivals[0]] : rivals
  report('inserted', sequence, `${other.where} was inserted: it calls itself entry ${sequence}, which is another`)
  return genuine
}

function judgeLinks(lines: readonly Line[], start: number, report: Report): readonly AuditEntry[] {
  const entries: AuditEntry[] = []
  let sequence = start - 1
  /** What the next entry must name as its previous one; null when that cannot be told. */
  let hash: string | null = start === 1 ? NO_HASH : null
  for (const { entry, hash: computed } of lines) {
    if (entry === null) {
      sequence++
      hash = null
      continue
    }
    if (entry.sequence > sequence + 1) {
      const [from, to] = [sequence + 1, entry.sequence - 1]
      report('removed', from, from === to ? `entry ${from} was removed` : `entries ${from} to ${to} were removed`)
      hash = null
    }
    if (hash !== null && entry.previous !== hash) reportBrokenLink(entry, entries.at(-1), report)
    if (entry.hash !== computed)
      report('changed', entry.sequence, `entry ${entry.sequence} was changed: its content does not have its hash`)
    entries.push(entry)
    sequence = entry.sequence
    hash = entry.hash
  }
  return entries
}

function reportBrokenLink(entry: AuditEntry, before: AuditEntry | undefined, report: Report): void {
  const { sequence } = entry
  if (before === undefined) return report('changed', sequence, `entry ${sequence} names one before it: it was changed`)
  report(
    'changed',
    before.sequence,
    `entry ${before.sequence} was changed and its hash made anew: entry ${sequence} knows another`,
  )
}

function judgeTimes(entries: readonly AuditEntry[], report: Report): void {
  for (const [index, entry] of entries.entries()) {
    const before = entries[index - 1]
    if (before === undefined || entry.act === CLOCK_WENT_BACK || entry.time >= before.time) continue
    report('time-unordered', entry.sequence, `entry ${entry.sequence} is older than the one before it`)
  }
}

/** Which keys sign, and up to where. */
function judgeSignatures(
  entries: readonly AuditEntry[],
  start: number,
  report: Report,
): { keys: string[]; signedUpTo: number } {
  const keys: string[] = []
  const hashes = new Map(entries.map(({ sequence, hash }) => [sequence, hash]))
  let signedUpTo = 0
  let unsigned = 0
  for (const entry of entries) {
    const { sequence } = entry
    unsigned++
    // What is left of a log begins with a checkpoint, which names the key that signed up to there.
    if (start > 1 && entry === entries[0]) keys.push(...keyAtStart(entry, report))
    if (entry.kind === 'key') {
      const added = judgeKey(entry, keys.at(-1), hashes, report)
      if (added !== null) keys.push(added)
    }
    if (entry.kind === 'checkpoint') {
      unsigned = 0
      if (judgeCheckpoint(entry, keys.at(-1), hashes, report)) signedUpTo = sequence - 1
    }
    if (unsigned === CHECKPOINT_EVERY + 1)
      report(
        'checkpoint-missing',
        sequence,
        `no checkpoint stands in the ${CHECKPOINT_EVERY} entries before ${sequence}`,
      )
  }
  return { keys, signedUpTo }
}

function keyAtStart(entry: AuditEntry, report: Report): readonly string[] {
  const checkpoint = checkpointOf(entry)
  if (checkpoint !== null && checkpoint.hash === entry.previous) return [checkpoint.publicKey]
  const { sequence } = entry
  report('removed', sequence - 1, `what stood before entry ${sequence} is missing, and it is no checkpoint of that`)
  return []
}

function judgeKey(
  { sequence, detail }: AuditEntry,
  current: string | undefined,
  hashes: ReadonlyMap<number, string>,
  report: Report,
): string | null {
  const { publicKey, covered, signedByOld, signedByNew } = (detail ?? {}) as Record<string, unknown>
  if (typeof publicKey !== 'string') {
    report('signature-wrong', sequence, `entry ${sequence} names no key`)
    return null
  }
  if (sequence === 1) return publicKey
  const place = (covered ?? {}) as { sequence: number; hash: string; time: string }
  const isSigned =
    current !== undefined &&
    place.sequence === sequence - 1 &&
    (hashes.get(place.sequence) ?? place.hash) === place.hash &&
    isSuccessionSigned(place, publicKey, current, String(signedByOld)) &&
    isSuccessionSigned(place, publicKey, publicKey, String(signedByNew))
  if (isSigned) return publicKey
  report('signature-wrong', sequence, `the new key in entry ${sequence} is not signed by the old one and by itself`)
  return null
}

function judgeCheckpoint(
  entry: AuditEntry,
  current: string | undefined,
  hashes: ReadonlyMap<number, string>,
  report: Report,
): boolean {
  const { sequence } = entry
  const checkpoint = checkpointOf(entry)
  if (checkpoint === null || checkpoint.sequence !== sequence - 1 || !isGenuine(checkpoint)) {
    report('signature-wrong', sequence, `the checkpoint in entry ${sequence} is not signed as it stands`)
    return false
  }
  if (current === undefined || checkpoint.publicKey !== current) {
    report('key-unknown', sequence, `the checkpoint in entry ${sequence} is signed by a key that the log does not name`)
    return false
  }
  const actual = hashes.get(checkpoint.sequence)
  if (actual === undefined || actual === checkpoint.hash) return true
  report(
    'rewritten',
    checkpoint.sequence,
    `entry ${checkpoint.sequence} is not the one that was signed in entry ${sequence}`,
  )
  return false
}

function judgeAnchors(
  entries: readonly AuditEntry[],
  keys: readonly string[],
  { checkpoints, publicKey }: Anchors,
  report: Report,
): void {
  const [first, last] = [entries[0]?.sequence ?? 0, entries.at(-1)?.sequence ?? 0]
  for (const checkpoint of checkpoints) {
    const { sequence, hash } = checkpoint
    const actual = entries.find((entry) => entry.sequence === sequence)?.hash
    if (!isGenuine(checkpoint))
      report('signature-wrong', sequence, `the given checkpoint of entry ${sequence} is not signed as it stands`)
    else if (sequence > last)
      report('cut-off', last, `the end was cut off: entries ${last + 1} to ${sequence}, at least, are missing`)
    else if (sequence < first - 1)
      report(
        'archive-needed',
        sequence,
        `the given checkpoint is of entry ${sequence}, which was taken off: name the folder with the archive too`,
      )
    else if (!keys.includes(checkpoint.publicKey))
      report(
        'key-unknown',
        sequence,
        `the given checkpoint of entry ${sequence} is of another log, or this one was made anew`,
      )
    else if (sequence === first - 1 ? entries[0]?.previous !== hash : actual !== undefined && actual !== hash)
      report('rewritten', sequence, `entry ${sequence} is not the one that the given checkpoint has signed`)
  }
  if (publicKey !== null && !keys.includes(publicKey))
    report(
      'key-unknown',
      1,
      'the given public key is none of this log: it is another one, was made anew, ends before, or its beginning was taken off',
    )
}
