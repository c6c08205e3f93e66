import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import pc from 'picocolors'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { print, printJson } from '../output.ts'
import { callApi } from '../server-access.ts'
import { showAlarm, showAlarmLine } from './show-alarm.ts'
import type { ShownAlarm } from './show-alarm.ts'

interface AlarmOptions extends RemoteOptions {
  readonly device?: string
  readonly kind?: string
  readonly limit: number
  readonly follow?: true
  readonly verbose?: true
}

interface Page {
  /** Newest first. */
  readonly value: readonly ShownAlarm[]
  /** What to ask for next, to get only what is newer. */
  readonly next: number
}

/** Longest wait of one request; following repeats it. */
const WAIT_SECONDS = 25

/** `holdfast alarms`: clones, and whatever else a person must look at. */
export function register(group: Command): void {
  group
    .argument('[id]', 'show this one, with its evidence')
    .option('--device <id>', 'only this device (or webhook)')
    .option('--kind <kind>', 'only this kind, such as identity-duplicated or key-shared')
    .option('--limit <n>', 'how many, newest last', readLimit, 20)
    .option('--follow', 'go on showing new ones')
    .option('--verbose', 'show each with its evidence')
  addHubOption(addAccessOptions(group))
    .action(run)
    .addHelpText(
      'after',
      `
Examples:
  holdfast alarms
  holdfast alarms --follow --verbose
  holdfast alarms --device press-17`,
    )
}

async function run(id: string | undefined, options: AlarmOptions): Promise<void> {
  if (id !== undefined) {
    const path = `/holdfast/v1/alarms/${encodeURIComponent(id)}`
    const alarm = await callApi<ShownAlarm>(serverOf(options), { method: 'GET', path })
    return options.json ? printJson(alarm) : print(showAlarm(alarm))
  }
  const page = await fetchPage(options, { limit: String(options.limit) })
  show(page, options)
  if (page.value.length === 0 && !options.json && !options.follow) print('no alarm')
  for (let after = page.next; options.follow;) {
    const next = await fetchPage(options, { after: String(after), wait: String(WAIT_SECONDS), limit: '1000' })
    show(next, options)
    after = next.next
  }
}

function fetchPage(options: AlarmOptions, paging: Record<string, string>): Promise<Page> {
  const query = new URLSearchParams(paging)
  if (options.device !== undefined) query.set('subject', options.device)
  if (options.kind !== undefined) query.set('kind', options.kind)
  if (options.hub !== undefined) query.set('hub', options.hub)
  return callApi<Page>(serverOf(options), { method: 'GET', path: `/holdfast/v1/alarms?${query.toString()}` })
}

function show(page: Page, options: AlarmOptions): void {
  for (const alarm of page.value.toReversed()) {
    if (options.json) printJson(alarm)
    else print(options.verbose ? `${showAlarm(alarm)}\n` : showAlarmLine(alarm, pc))
  }
}

function readLimit(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > 1000)
    throw new InvalidArgumentError('a number from 1 to 1000 is needed.')
  return number
}
