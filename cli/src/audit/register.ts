import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { addAccessOptions, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { print, printJson } from '../output.ts'
import { callApi } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'
import { auditState, followingLines, linesOf } from './log-pages.ts'
import { addPrune } from './prune.ts'
import { showEntry } from './show-entry.ts'
import type { ShownEntry } from './show-entry.ts'
import { addVerify } from './verify.ts'

interface SearchOptions extends RemoteOptions {
  readonly act?: string
  readonly operator?: string
  readonly text?: string
  readonly since?: string
}

/** `holdfast audit …`: what was done to the server, by whom, and whether the record is as it was written. */
export function register(group: Command): void {
  addTail(group)
  addSearch(group)
  addExport(group)
  addCheckpoint(group)
  addKey(group)
  addVerify(group)
  addPrune(group)
}

function addTail(group: Command): void {
  const command = group
    .command('tail')
    .description('the last entries')
    .option('--limit <n>', 'how many', readLimit, 20)
    .option('--follow', 'go on showing new ones')
    .action(async (options: RemoteOptions & { limit: number; follow?: true }) => {
      const access = serverOf(options)
      const { first, sequence, trouble } = await auditState(access)
      if (trouble !== null) process.stderr.write(`the audit log cannot be written: ${trouble}\n`)
      const after = Math.max(first - 1, sequence - options.limit)
      for await (const line of linesOf(access, { after, until: sequence })) show(line, options)
      if (!options.follow) return
      for await (const line of followingLines(access, sequence)) show(line, options)
    })
  addAccessOptions(command)
}

function addSearch(group: Command): void {
  const command = group
    .command('search')
    .description('entries that fit every option that is given')
    .option('--act <name>', 'such as authority.delete, or the beginning of one, such as authority.')
    .option('--operator <name>', 'whose')
    .option('--since <time>', 'not older than this, such as 2027-01-31 or 2027-01-31T08:00:00Z', readSince)
    .option('--text <text>', 'that hold this text anywhere')
    .action(async (options: SearchOptions) => {
      const access = serverOf(options)
      const { first, sequence } = await auditState(access)
      if (first > 1)
        process.stderr.write(`entries 1 to ${first - 1} are not searched: they were moved into an archive\n`)
      let found = 0
      for await (const line of linesOf(access, { after: first - 1, until: sequence })) {
        if (!fits(line, options)) continue
        found += 1
        show(line, options)
      }
      if (found === 0) process.stderr.write('no entry fits\n')
    })
  addAccessOptions(command).addHelpText(
    'after',
    `
Examples:
  holdfast audit search --act authority. --since 2027-01-01
  holdfast audit search --operator rita --json`,
  )
}

function fits(line: string, { act, operator, text, since }: SearchOptions): boolean {
  const entry = JSON.parse(line) as ShownEntry
  return (
    (act === undefined || entry.act.startsWith(act)) &&
    (operator === undefined || entry.who.name === operator) &&
    (since === undefined || entry.time >= since) &&
    (text === undefined || line.includes(text))
  )
}

function addExport(group: Command): void {
  const command = group
    .command('export')
    .description('the whole log as JSON lines, byte for byte; or a folder that `holdfast audit verify` takes')
    .option('--to <folder>', 'write the log, a checkpoint and the public key into this folder')
    .action(async (options: RemoteOptions & { to?: string }) => {
      const access = serverOf(options)
      if (options.to === undefined) {
        const { first, sequence } = await auditState(access)
        for await (const line of linesOf(access, { after: first - 1, until: sequence })) print(line)
        return
      }
      const { first, last } = await exportTo(access, options.to)
      if (options.json) return printJson({ folder: options.to, entries: last - first + 1, first, last })
      print(`entries ${first} to ${last} are in '${options.to}', with checkpoint.json and public-key.pem`)
    })
  addAccessOptions(command)
}

async function exportTo(access: ServerAccess, folder: string): Promise<{ first: number; last: number }> {
  const { segmentPath } = await import('@holdfast/server')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const checkpoint = await takeCheckpoint(access)
  const { first, sequence: last, publicKey } = await auditState(access)
  const file = createWriteStream(segmentPath(folder, first), { mode: 0o600 })
  for await (const line of linesOf(access, { after: first - 1, until: last }))
    if (!file.write(`${line}\n`)) await once(file, 'drain')
  file.end()
  await once(file, 'finish')
  writeFileSync(join(folder, 'checkpoint.json'), `${JSON.stringify(checkpoint)}\n`)
  writeFileSync(join(folder, 'public-key.pem'), pemOf(publicKey))
  return { first, last }
}

function addCheckpoint(group: Command): void {
  const command = group
    .command('checkpoint')
    .description('sign what is there; keep the result where nobody of this server can change it')
    .action(async (options: RemoteOptions) => printJson(await takeCheckpoint(serverOf(options))))
  addAccessOptions(command).addHelpText('after', '\nExample:\n  holdfast audit checkpoint > audit-2027-01-31.json')
}

function takeCheckpoint(access: ServerAccess): Promise<object> {
  return callApi(access, { method: 'POST', path: '/holdfast/v1/audit/checkpoint' })
}

function addKey(group: Command): void {
  const command = group
    .command('key')
    .description('the public key that checkpoints are signed with, PEM')
    .option('--rotate', 'sign with another key from now on; the old one vouches for it')
    .action(async (options: RemoteOptions & { rotate?: true }) => {
      const access = serverOf(options)
      if (options.rotate) await callApi(access, { method: 'POST', path: '/holdfast/v1/audit/key/rotate' })
      const { publicKey, keyId } = await auditState(access)
      if (options.json) return printJson({ publicKey, keyId })
      process.stdout.write(pemOf(publicKey))
    })
  addAccessOptions(command)
}

function pemOf(publicKey: string): string {
  return `-----BEGIN PUBLIC KEY-----\n${publicKey}\n-----END PUBLIC KEY-----\n`
}

function show(line: string, options: RemoteOptions): void {
  print(options.json ? line : showEntry(JSON.parse(line) as ShownEntry))
}

/** As entries have it, so that they compare as text. */
function readSince(text: string): string {
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError('a time is needed, such as 2027-01-31.')
  return time.toISOString()
}

function readLimit(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > 10_000)
    throw new InvalidArgumentError('a number from 1 to 10000 is needed.')
  return number
}
