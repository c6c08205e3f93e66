import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import pc from 'picocolors'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { parseDuration } from '../durations.ts'
import { print, printJson } from '../output.ts'
import { callApi } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'
import { showRefusal, showRefusalLine } from './show-refusal.ts'
import type { ShownRefusal } from './show-refusal.ts'

interface RefusalOptions extends RemoteOptions {
  readonly device?: string
  readonly address?: string
  readonly cause?: string
  readonly limit: number
  readonly follow?: true
  readonly verbose?: true
  readonly summary?: true
  /** ms. */
  readonly since?: number
}

interface Page {
  /** Newest first. */
  readonly value: readonly ShownRefusal[]
  /** What to ask for next, to get only what is newer. */
  readonly next: number
}

interface Cause {
  readonly rule: string
  readonly count: number
  readonly meaning: string
}

const DAY_MS = 24 * 60 * 60 * 1000
/** Longest wait of one request; following repeats it. */
const WAIT_SECONDS = 25

/** `holdfast refusals`: who was refused, by which rule, and what to do about it. */
export function register(group: Command): void {
  group
    .argument('[tracking-id]', 'explain this one refusal')
    .option('--device <id>', 'only this claimed identity')
    .option('--address <ip>', 'only this peer address')
    .option('--cause <rule>', 'only this cause, such as chain:expired or thumbprint-mismatch')
    .option('--limit <n>', 'how many, newest last', readLimit, 20)
    .option('--follow', 'go on showing new ones')
    .option('--verbose', 'explain each in full')
    .option('--summary', 'count them by cause instead')
    .option('--since <time>', 'with --summary: only of the last, such as 15m or 1h (default 1d)', parseDuration)
  addHubOption(addAccessOptions(group))
    .action(run)
    .addHelpText(
      'after',
      `
Examples:
  holdfast refusals
  holdfast refusals --follow --device press-17
  holdfast refusals --summary --since 1h
  holdfast refusals 3f2c9d…   the tracking id that a device was told`,
    )
}

async function run(trackingId: string | undefined, options: RefusalOptions): Promise<void> {
  const access = serverOf(options)
  if (trackingId !== undefined) return explain(access, trackingId, options)
  if (options.summary) return summarize(access, options)
  if (options.since !== undefined) throw new CommandError('--since goes with --summary', 2)
  const page = await fetchPage(access, options, { limit: String(options.limit) })
  show(page, options)
  if (options.follow) return follow(access, options, page.next)
  if (page.value.length === 0 && !options.json) print('nothing was refused')
}

async function summarize(access: ServerAccess, { since = DAY_MS, json }: RefusalOptions): Promise<void> {
  const path = `/holdfast/v1/refusals/summary?since=${Math.floor(since / 1000)}`
  const { value } = await callApi<{ value: readonly Cause[] }>(access, { method: 'GET', path })
  if (json) return printJson(value)
  if (value.length === 0) return print('nothing was refused')
  for (const { rule, count, meaning } of value)
    print(`${String(count).padStart(7)}  ${rule.padEnd(32)} ${pc.dim(meaning)}`)
}

async function explain(access: ServerAccess, trackingId: string, options: RefusalOptions): Promise<void> {
  const refusal = await callApi<ShownRefusal>(access, {
    method: 'GET',
    path: `/holdfast/v1/refusals/${encodeURIComponent(trackingId)}`,
  })
  if (options.json) printJson(refusal)
  else print(showRefusal(refusal))
}

async function follow(access: ServerAccess, options: RefusalOptions, from: number): Promise<void> {
  for (let after = from; ;) {
    const page = await fetchPage(access, options, { after: String(after), wait: String(WAIT_SECONDS), limit: '1000' })
    show(page, options)
    after = page.next
  }
}

function fetchPage(access: ServerAccess, options: RefusalOptions, paging: Record<string, string>): Promise<Page> {
  const query = new URLSearchParams(paging)
  if (options.device !== undefined) query.set('identity', options.device)
  if (options.address !== undefined) query.set('address', options.address)
  if (options.cause !== undefined) query.set('rule', options.cause)
  if (options.hub !== undefined) query.set('hub', options.hub)
  return callApi<Page>(access, { method: 'GET', path: `/holdfast/v1/refusals?${query.toString()}` })
}

function show(page: Page, options: RefusalOptions): void {
  for (const refusal of page.value.toReversed()) {
    if (options.json) printJson(refusal)
    else print(options.verbose ? `${showRefusal(refusal)}\n` : showRefusalLine(refusal, pc))
  }
}

function readLimit(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > 1000)
    throw new InvalidArgumentError('a number from 1 to 1000 is needed.')
  return number
}
