import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RevocationReason, RevokedEntry } from '@holdfast/pki'
import { CommandError } from '../command-error.ts'
import { makeFolder, readInput } from './files.ts'

/** One line of `issued/index.jsonl`. */
export interface IssuedEntry {
  readonly serial: string
  readonly kind: string
  readonly subject: string
  readonly notAfter: string
  readonly sha256: string
}

/** One line of `issued/revoked.jsonl`; of a serial that occurs again the last one counts. */
interface RevokedLine {
  readonly serial: string
  readonly revokedAt: string
  readonly reason: RevocationReason
}

/** Everything that the CA has signed. */
export function issuedBy(folder: string): readonly IssuedEntry[] {
  return linesOf<IssuedEntry>(join(folder, 'issued', 'index.jsonl'), 'the index of issued certificates')
}

/** What the CA has revoked, each serial once, in the order in which it happened. */
export function revokedBy(folder: string): readonly RevokedEntry[] {
  const lines = linesOf<RevokedLine>(revokedFile(folder), 'the list of revoked certificates')
  const bySerial = new Map(lines.map((line) => [line.serial, line]))
  return [...bySerial.values()].map(({ serial, revokedAt, reason }) => ({
    serial: Buffer.from(serial, 'hex'),
    revokedAt: Date.parse(revokedAt),
    reason,
  }))
}

export function recordRevoked(folder: string, entries: readonly RevokedEntry[]): void {
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
  writeFileSync(file, `${next}\n`, { flush: true })
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
