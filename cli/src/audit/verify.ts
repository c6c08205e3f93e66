import { createPublicKey } from 'node:crypto'
import { statSync } from 'node:fs'
import type { Checkpoint } from '@holdfast/server'
import type { Command } from 'commander'
import { CommandError } from '../command-error.ts'
import { print, printJson } from '../output.ts'
import { readInput } from '../pki/files.ts'

interface VerifyOptions {
  readonly checkpoint: readonly string[]
  readonly publicKey?: string
  readonly json?: true
}

export function addVerify(group: Command): void {
  group
    .command('verify <folders...>')
    .description('is a copy of the log as it was written? Offline; folders are data/audit, an export, archives of it')
    .option('--checkpoint <file...>', 'checkpoints that were kept elsewhere: they show whether the end was cut off', [])
    .option('--public-key <file>', 'PEM of a key that the log must be signed with')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Without a checkpoint from elsewhere nobody can tell a log that was cut off at its end from one that ends there.

Example:
  holdfast audit verify data/audit --checkpoint audit-2027-01-31.json
  holdfast audit verify audit-archive data/audit`,
    )
    .action(verify)
}

async function verify(folders: readonly string[], options: VerifyOptions): Promise<void> {
  const { readCheckpoint, verifyAuditLog } = await import('@holdfast/server')
  const checkpoints = options.checkpoint.map((file) => checkpointFrom(file, readCheckpoint))
  const publicKey = options.publicKey === undefined ? null : publicKeyFrom(options.publicKey)
  for (const folder of folders)
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
      throw new CommandError(`'${folder}' is no folder: give data/audit, an export or an archive`)
  const verdict = verifyAuditLog(folders, { checkpoints, publicKey })
  const { entries, first, last, signedUpTo, pruned, keys, findings } = verdict
  if (entries === 0) throw new CommandError(`'${folders.join("' and '")}' hold no entry of an audit log`)
  if (options.json) printJson(verdict)
  else {
    for (const { rule, message } of findings) print(`${rule}: ${message}`)
    print(
      `${entries} entries, ${first} to ${last}; signed up to ${signedUpTo} by ${keys.map((id) => id.slice(0, 16)).join(', ')}`,
    )
    if (pruned > 0) print(`entries 1 to ${pruned} were moved into an archive: name its folder too to verify them`)
    if (checkpoints.length === 0)
      print('no checkpoint from elsewhere was given: whether entries are missing at the end cannot be told')
  }
  const [worst] = findings
  if (worst !== undefined)
    throw new CommandError(`the log is not as it was written (${findings.length} findings): ${worst.message}`)
  if (!options.json) print('the log is as it was written')
}

function checkpointFrom(file: string, read: (value: unknown) => Checkpoint | null): Checkpoint {
  const text = readInput(file, 'the checkpoint').toString('utf8')
  const checkpoint = read(parse(text))
  if (checkpoint === null) throw new CommandError(`'${file}' holds no checkpoint of an audit log`)
  return checkpoint
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function publicKeyFrom(file: string): string {
  try {
    const key = createPublicKey(readInput(file, 'the public key'))
    return key.export({ type: 'spki', format: 'der' }).toString('base64')
  } catch (cause) {
    if (cause instanceof CommandError) throw cause
    throw new CommandError(`'${file}' holds no public key`)
  }
}
