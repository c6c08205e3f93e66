import { closeSync, fsyncSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { addAccessOptions, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { addConfirmOption, confirm } from '../confirm.ts'
import type { ConfirmOptions } from '../confirm.ts'
import { print, printJson } from '../output.ts'
import { callApi } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'
import { auditState, linesOf } from './log-pages.ts'

interface PruneOptions extends RemoteOptions, ConfirmOptions {
  readonly before: Date
  readonly to: string
}

interface ClosedSegment {
  readonly first: number
  readonly last: number
  readonly bytes: number
  readonly until: string
}

interface Archive {
  readonly file: string
  readonly upTo: number
  readonly sha256: string
}

export function addPrune(group: Command): void {
  const command = group
    .command('prune')
    .description(
      'move the older part of the log into an archive: exported and verified first, then taken off the server',
    )
    .requiredOption('--before <time>', 'only entries older than this, in whole files, such as 2027-01-31', readTime)
    .requiredOption('--to <folder>', 'the archive; parts that are there stay')
    .action(prune)
  addAccessOptions(addConfirmOption(command)).addHelpText(
    'after',
    `
The log keeps entries in files of 4 MiB or 30 days; a file goes as a whole, the present one never. What was taken off,
and by whom, is an entry of the log itself.

Example:
  holdfast audit prune --before 2027-01-31 --to audit-archive
  holdfast audit verify audit-archive data/audit --checkpoint audit-2026-12-31.json`,
  )
}

async function prune(options: PruneOptions): Promise<void> {
  const access = serverOf(options)
  const { first } = await auditState(access)
  const upTo = await endOfOlder(access, options.before)
  if (upTo === null) {
    if (options.json) return printJson({ pruned: null })
    return print(`no file of the log holds only entries from before ${options.before.toISOString()}: nothing to prune`)
  }
  const archive = await archiveTo(access, options.to, { first, upTo })
  await confirm(
    `Entries ${first} to ${upTo} leave the server; '${archive.file}' is then the only copy that is known here.`,
    options,
  )
  const { sha256 } = archive
  const path = '/holdfast/v1/audit/prune'
  const pruned = await callApi<ClosedSegment>(access, { method: 'POST', path, body: { upTo, sha256 } })
  if (options.json) return printJson({ pruned, archive: archive.file })
  print(`entries ${pruned.first} to ${pruned.last} are in '${archive.file}', verified, and off the server`)
  print('  Keep that folder, and its checkpoints, where nobody of this server can change them.')
}

/** Sequence of the last entry of the newest file that is older as a whole; null when there is none. */
async function endOfOlder(access: ServerAccess, before: Date): Promise<number | null> {
  const { value } = await callApi<{ value: readonly ClosedSegment[] }>(access, {
    method: 'GET',
    path: '/holdfast/v1/audit/segments',
  })
  const younger = value.findIndex(({ until }) => Date.parse(until) > before.getTime())
  return value.slice(0, younger === -1 ? value.length : younger).at(-1)?.last ?? null
}

/** Writes these entries and the checkpoint that signs the last of them, and judges what was written, from the disk. */
async function archiveTo(
  access: ServerAccess,
  folder: string,
  { first, upTo }: { first: number; upTo: number },
): Promise<Archive> {
  const { digestOf, readCheckpoint, segmentPath, verifyAuditLog } = await import('@holdfast/server')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = segmentPath(folder, first)
  await writeLines(access, file, { first, upTo })
  const checkpoint = readCheckpoint(await detailOf(access, upTo + 1))
  if (checkpoint === null) throw new CommandError(`entry ${upTo + 1} is no checkpoint: nothing was pruned`)
  const kept = join(folder, `checkpoint-${String(upTo).padStart(12, '0')}.json`)
  writeFileSync(kept, `${JSON.stringify(checkpoint)}\n`, { mode: 0o600, flush: true })
  const { findings, last } = verifyAuditLog(folder, { checkpoints: [checkpoint], publicKey: null })
  const [worst] = findings
  if (worst !== undefined)
    throw new CommandError(`the archive in '${folder}' is not good, nothing was pruned: ${worst.message}`)
  if (last !== upTo) throw new CommandError(`the archive in '${folder}' ends at entry ${last}, nothing was pruned`)
  return { file, upTo, sha256: await digestOf([{ first, path: file }]) }
}

async function writeLines(
  access: ServerAccess,
  file: string,
  { first, upTo }: { first: number; upTo: number },
): Promise<void> {
  const descriptor = openSync(file, 'w', 0o600)
  try {
    for await (const line of linesOf(access, { after: first - 1, until: upTo })) writeSync(descriptor, `${line}\n`)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

async function detailOf(access: ServerAccess, sequence: number): Promise<unknown> {
  for await (const line of linesOf(access, { after: sequence - 1, until: sequence }))
    return (JSON.parse(line) as { detail?: unknown }).detail
  return null
}

function readTime(text: string): Date {
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError('a date is needed, such as 2027-01-31.')
  return time
}
