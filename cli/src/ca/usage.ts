import type { Command } from 'commander'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { relativeTime } from '../durations.ts'
import { print, printJson } from '../output.ts'
import { findHub } from '../resource-manager.ts'
import { callApi } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'

interface UsageOptions extends RemoteOptions {
  readonly devices?: true
}

interface AuthorityUse {
  readonly kind: 'registered' | 'intermediate'
  readonly name: string | null
  readonly isVerified: boolean
  readonly subject: string
  readonly sha256: string | null
  readonly notAfter: string | null
  readonly devices: number
  readonly lastSeen: string | null
}

interface AuthorityUser {
  readonly hub: string
  readonly deviceId: string
  readonly certificate: { readonly subject: string; readonly notAfter: string }
  readonly authorities: readonly string[]
  readonly lastSeen: string
  readonly by: 'connect' | 'registration'
}

const PAGE = 500

export function addUsage(group: Command): void {
  const command = group
    .command('usage [ca]')
    .description('how many devices were last seen with each CA and intermediate, so that one knows when it can go')
    .option('--devices', 'list the devices of the one CA that is named')
    .action(run)
  addHubOption(addAccessOptions(command)).addHelpText(
    'after',
    `
A CA is named by its name in the register, its SHA-256, or a part of its subject that no other CA has.

Examples:
  holdfast ca usage
  holdfast ca usage contoso-2024 --devices`,
  )
}

async function run(wanted: string | undefined, options: UsageOptions): Promise<void> {
  const access = serverOf(options)
  const hub = options.hub ?? (await findHub(access, undefined)).name
  const path = `/holdfast/v1/hubs/${encodeURIComponent(hub)}/authority-usage`
  if (options.devices) {
    if (wanted === undefined) throw new CommandError('name the CA whose devices are to be listed', 2)
    return listDevices(access, path, wanted, options)
  }
  if (wanted !== undefined) {
    const { authority } = await fetchPage(access, path, wanted, null, 1)
    return options.json ? printJson(authority) : show(authority)
  }
  const { value } = await callApi<{ value: readonly AuthorityUse[] }>(access, { method: 'GET', path })
  if (options.json) return printJson(value)
  if (value.length === 0) return print(`hub '${hub}' has no CA, and no device came with one`)
  for (const use of value) show(use)
}

async function listDevices(access: ServerAccess, path: string, wanted: string, options: UsageOptions): Promise<void> {
  let after: string | null = null
  let count = 0
  for (let full = true; full;) {
    const { value } = await fetchPage(access, path, wanted, after, PAGE)
    for (const device of value) {
      if (options.json) printJson(device)
      else showDevice(device)
    }
    count += value.length
    after = value.at(-1)?.deviceId ?? null
    full = value.length >= PAGE
  }
  if (count === 0 && !options.json) print(`no device was last seen with '${wanted}'`)
}

function fetchPage(
  access: ServerAccess,
  path: string,
  authority: string,
  after: string | null,
  limit: number,
): Promise<{ authority: AuthorityUse; value: readonly AuthorityUser[] }> {
  const query = new URLSearchParams({ authority, limit: String(limit), ...(after !== null && { after }) })
  return callApi(access, { method: 'GET', path: `${path}/devices?${query.toString()}` })
}

function show({ kind, name, isVerified, subject, notAfter, devices, lastSeen }: AuthorityUse): void {
  const state = kind === 'intermediate' ? 'intermediate' : isVerified ? 'verified' : 'unverified'
  const seen = lastSeen === null ? 'never seen' : `last seen ${relativeTime(Date.parse(lastSeen), Date.now())}`
  const number = `${devices} device${devices === 1 ? '' : 's'}`
  const end = notAfter === null ? '' : `  until ${notAfter.slice(0, 10)}`
  print(`${(name ?? '-').padEnd(24)} ${state.padEnd(12)} ${number.padEnd(12)} ${seen.padEnd(24)}${end}  ${subject}`)
}

function showDevice({ hub, deviceId, certificate, authorities, lastSeen, by }: AuthorityUser): void {
  const seen = relativeTime(Date.parse(lastSeen), Date.now())
  const occasion = by === 'connect' ? 'connected' : 'registered'
  const path = authorities.length === 0 ? '' : ` under ${authorities.join(', ')}`
  print(
    `${deviceId.padEnd(32)} ${occasion} ${seen}, certificate until ${certificate.notAfter.slice(0, 10)}${path} at ${hub}`,
  )
}
