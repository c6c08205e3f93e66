import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RevocationReason, RevokedEntry } from '@holdfast/pki'
import { CommandError } from '../command-error.ts'
import { makeFolder, readInput, replaceFile } from './files.ts'

/** One line of `issued/index.jsonl`. */
export interface IssuedEntry {
  readonly serial: string
  readonly kind: string
  readonly subject: string
  readonly notAfter: string
  readonly sha256: string
}

/** `removeFromCRL`: a hold has ended (RFC 5280 §5.3.1). */
export type Change = RevocationReason | 'removeFromCRL'

/** One line of `issued/revoked.jsonl`; of a serial that occurs again the last one counts. */
interface RevokedLine {
  readonly serial: string
  readonly revokedAt: string
  readonly reason: Change
}

/** The complete list that deltas build on: its number, and how many lines of the journal it took in. */
export interface CrlBase {
  readonly number: bigint
  readonly lines: number
}

/** Everything that the CA has signed. */
export function issuedBy(folder: string): readonly IssuedEntry[] {
  return linesOf<IssuedEntry>(join(folder, 'issued', 'index.jsonl'), 'the index of issued certificates')
}

/** What the CA has revoked, each serial once, in the order in which it happened; and how many lines that took. */
export function revokedBy(folder: string): { readonly revoked: readonly RevokedEntry[]; readonly lines: number } {
  const lines = journalOf(folder)
  const revoked = lastOfEach(lines).flatMap(({ reason, ...entry }) =>
    reason === 'removeFromCRL' ? [] : [{ ...entry, reason }],
  )
  return { revoked, lines: lines.length }
}

/** What has changed since that list, each serial once. */
export function changesSince(folder: string, { lines }: CrlBase): readonly RevokedEntry<Change>[] {
  return lastOfEach(journalOf(folder).slice(lines))
}

/** Notes the list that the next deltas build on. */
export function recordBase(folder: string, { number, lines }: CrlBase): void {
  replaceFile(join(folder, 'crl-base.json'), `${JSON.stringify({ number: String(number), lines })}\n`)
}

export function baseOf(folder: string): CrlBase {
  const file = join(folder, 'crl-base.json')
  if (!existsSync(file))
    throw new CommandError(`'${folder}' has no complete CRL that a delta could build on: leave out --delta this time`)
  try {
    const { number, lines } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    if (typeof number === 'string' && /^\d{1,30}$/.test(number) && Number.isSafeInteger(lines))
      return { number: BigInt(number), lines: Number(lines) }
  } catch (cause) {
    throw new CommandError(`'${file}' is damaged: sign a complete CRL`, 1, { cause })
  }
  throw new CommandError(`'${file}' is damaged: sign a complete CRL`)
}

function journalOf(folder: string): readonly RevokedLine[] {
  return linesOf<RevokedLine>(revokedFile(folder), 'the list of revoked certificates')
}

function lastOfEach(lines: readonly RevokedLine[]): RevokedEntry<Change>[] {
  const bySerial = new Map(lines.map((line) => [line.serial, line]))
  return [...bySerial.values()].map(({ serial, revokedAt, reason }) => ({
    serial: Buffer.from(serial, 'hex'),
    revokedAt: Date.parse(revokedAt),
    reason,
  }))
}

export function recordRevoked(folder: string, entries: readonly RevokedEntry<Change>[]): void {
  makeFolder(join(folder, 'issued'))
  const lines = entries.map(({ serial, revokedAt, reason }) =>
    JSON.stringify({
      serial: Buffer.from(serial).toString('hex'),
      revokedAt: new Date(revokedAt).toISOString(),
      reason,
    }),
  )
  appendFileSync(revokedFile(folder), `${lines.join('\n')}\n`, { flush: true })
}

/**
 * The number of the next CRL (RFC 5280 §5.2.3), used up by this call: on disk before the list is signed, so that a
 * number never stands on two lists.
 */
export function takeCrlNumber(folder: string): bigint {
  const file = join(folder, 'crl-number')
  const last = existsSync(file) ? readFileSync(file, 'utf8').trim() : '0'
  if (!/^\d{1,30}$/.test(last)) throw new CommandError(`'${file}' does not hold the number of the last CRL`)
  const next = BigInt(last) + 1n
  replaceFile(file, `${next}\n`)
  return next
}

function revokedFile(folder: string): string {
  return join(folder, 'issued', 'revoked.jsonl')
}

function linesOf<Line>(file: string, what: string): Line[] {
  if (!existsSync(file)) return []
  const lines = readInput(file, what).toString('utf8').split('\n')
  return lines.flatMap((line, at) => {
    if (line.trim() === '') return []
    try {
      return [JSON.parse(line) as Line]
    } catch (cause) {
      throw new CommandError(`${what} '${file}' is damaged in line ${at + 1}`, 1, { cause })
    }
  })
}
