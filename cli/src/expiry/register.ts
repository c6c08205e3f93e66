import { Option } from 'commander'
import type { Command } from 'commander'
import pc from 'picocolors'
import { addAccessOptions, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { parseDuration, relativeTime } from '../durations.ts'
import { print, printJson } from '../output.ts'
import { callApi } from '../server-access.ts'

interface ExpiryOptions extends RemoteOptions {
  /** ms. */
  readonly within: number
}

interface Expiries {
  readonly value: readonly {
    readonly kind: 'server' | 'authority' | 'intermediate' | 'enrollment' | 'device'
    readonly hub: string | null
    readonly name: string
    readonly subject: string
    readonly notAfter: string
    readonly seconds: number
  }[]
  readonly unlistedDevices: number
}

const DAY_MS = 24 * 60 * 60 * 1000

/** `holdfast expiry`: what ends when. */
export function register(group: Command): void {
  group.addOption(
    new Option('--within <time>', 'only what ends within this time, such as 12h or 90d')
      .argParser(parseDuration)
      .default(30 * DAY_MS, '30d'),
  )
  addAccessOptions(group)
    .action(run)
    .addHelpText(
      'after',
      `
Shown are the certificates of the server itself, registered CAs, intermediates that devices still send, enrolments, and
the certificates that devices were last seen with. What has expired is shown too.

Examples:
  holdfast expiry
  holdfast expiry --within 90d --json`,
    )
}

async function run(options: ExpiryOptions): Promise<void> {
  const within = Math.floor(options.within / 1000)
  const path = `/holdfast/v1/expiry?within=${within}`
  const expiries = await callApi<Expiries>(serverOf(options), { method: 'GET', path })
  if (options.json) return printJson(expiries)
  if (expiries.value.length === 0) return print('nothing expires within this time')
  const now = Date.now()
  for (const { kind, hub, name, subject, notAfter } of expiries.value) {
    const end = Date.parse(notAfter)
    const when = relativeTime(end, now).padEnd(14)
    const color = end < now ? pc.red : end < now + 7 * DAY_MS ? pc.yellow : String
    const what = name === subject ? subject : `${name}  ${pc.dim(subject)}`
    print(
      `${notAfter.slice(0, 10)}  ${color(when)} ${kind.padEnd(12)} ${what}${hub === null ? '' : pc.dim(` at ${hub}`)}`,
    )
  }
  if (expiries.unlistedDevices > 0) print(`and ${expiries.unlistedDevices} more devices`)
}
