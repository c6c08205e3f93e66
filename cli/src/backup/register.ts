import { randomBytes } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Command } from 'commander'
import { verifyBackup } from '@holdfast/server'
import { addAccessOptions, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { addKeyOptions, keyAtHand, keySourceOf } from '../key-options.ts'
import type { KeyFlags } from '../key-options.ts'
import { print, printJson } from '../output.ts'
import { download } from './download.ts'
import { describeReport } from './show-report.ts'

export const KEY_NEEDED = 'the key that the data was sealed with when the backup was taken'

/** `holdfast backup …`: a copy of everything that a running server keeps, sealed. */
export function register(command: Command): void {
  command.enablePositionalOptions()
  addTake(command)
  addVerify(command)
}

function addTake(command: Command): void {
  command
    .argument('<place>', 'file of the backup, or a folder that gets one named by its time')
    .action(async (place: string, options: RemoteOptions & KeyFlags) => {
      const path = fileIn(place, new Date())
      const taken = await download(serverOf(options), '/holdfast/v1/backups', path)
      // Whoever takes it from afar does not have the key, and need not.
      const key = await keyAtHand(options, options.data ?? 'data')
      const report = key === null ? null : await verifyBackup({ key, path, random }, dirname(path))
      if (options.json) return printJson({ path, ...taken, report })
      print(`wrote ${path}, ${taken.bytes} bytes, SHA-256 ${taken.sha256}`)
      if (report !== null) for (const line of describeReport(report)) print(`  ${line}`)
      print(
        report === null
          ? `  Not proven yet: the key is not on this machine. 'holdfast backup verify ${path} --key-file <file>' proves it where it is.`
          : '  Proven: it was unpacked, and everything in it is whole.',
      )
      print('  The key-encryption key is not in it: keep a copy of that apart, for without it nobody can restore this.')
    })
  addKeyOptions(addAccessOptions(command), KEY_NEEDED).addHelpText(
    'after',
    `
Examples:
  holdfast backup /mnt/backups                  a file named by the time
  holdfast backup plant.backup
  holdfast backup verify plant.backup --key-file data.key
  holdfast restore plant.backup --data data-again --key-file data.key`,
  )
}

function addVerify(group: Command): void {
  const command = group
    .command('verify')
    .description('prove that a backup can be restored, without a server')
    .argument('<file>', 'file of the backup')
    .option('--work <dir>', 'where to unpack it for the proof (default: the folder for temporary files)')
    .option('--json', 'print the result as JSON')
    .action(async (path: string, options: KeyFlags & { readonly json?: true; readonly work?: string }) => {
      const key = await keySourceOf(options, 'data', `the backup ${path}`)
      const report = await verifyBackup({ path, key, random }, options.work ?? tmpdir())
      if (options.json) return printJson(report)
      for (const line of describeReport(report)) print(line)
      print('everything in it is whole')
    })
  addKeyOptions(command, KEY_NEEDED)
}

export const random = { bytes: (count: number) => randomBytes(count) }

function fileIn(place: string, now: Date): string {
  const isFolder = existsSync(place) && statSync(place).isDirectory()
  if (!isFolder) return join(dirname(place), basename(place))
  return join(place, `holdfast-${now.toISOString().replace(/[-:]|\.\d+/g, '')}.backup`)
}
