import type { Term } from '@holdfast/pki'
import { InvalidArgumentError, Option, type Command } from 'commander'

export interface ValidityOptions {
  /** Days from now. */
  readonly days?: number
  /** ms since the epoch. */
  readonly until?: number
}

const DAY = 24 * 60 * 60 * 1000
/** A hundred years: more is a typing error. */
const MAX_DAYS = 36_525

export function addValidityOptions(command: Command, defaultDays: number, isRoot = false): Command {
  return command
    .addOption(
      new Option(
        '--days <n>',
        `valid for so many days from now (default ${defaultDays}${isRoot ? '' : ', or until the issuer ends'})`,
      ).argParser(parseDays),
    )
    .addOption(
      new Option('--until <date>', 'valid through this day, as 2027-12-31 or 2027-12-31T12:00:00Z')
        .argParser(parseUntil)
        .conflicts('days'),
    )
}

/** What was asked for is a demand, the default is cut to the issuer's end. */
export function termFrom({ days, until }: ValidityOptions, defaultDays: number, now: number): Term {
  if (until !== undefined) return { now, until }
  if (days !== undefined) return { now, until: now + days * DAY }
  return { now, lifetime: defaultDays * DAY }
}

function parseDays(text: string): number {
  const days = Number(text)
  if (!/^\d+$/.test(text) || days < 1 || days > MAX_DAYS) {
    throw new InvalidArgumentError(`Give a whole number of days from 1 to ${MAX_DAYS}.`)
  }
  return days
}

export function parseUntil(text: string): number {
  const day = /^\d{4}-\d{2}-\d{2}$/.test(text)
  const time = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?Z$/.test(text)
  const ms = day || time ? Date.parse(day ? `${text}T23:59:59Z` : text) : Number.NaN
  // Date.parse turns 31 April into 1 May.
  if (Number.isNaN(ms) || !new Date(ms).toISOString().startsWith(text.slice(0, 10))) {
    throw new InvalidArgumentError('Give a day as 2027-12-31 or an instant as 2027-12-31T12:00:00Z.')
  }
  return ms
}
