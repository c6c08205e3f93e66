import type { Command } from 'commander'
import { restoreBackup } from '@holdfast/server'
import { addKeyOptions, keySourceOf } from '../key-options.ts'
import type { KeyFlags } from '../key-options.ts'
import { print, printJson } from '../output.ts'
import { KEY_NEEDED, random } from './register.ts'
import { describeReport } from './show-report.ts'

/** `holdfast restore`: a data folder from a backup, while no server runs on it. */
export function register(command: Command): void {
  command
    .argument('<file>', 'file of the backup')
    .option('--data <dir>', 'the data folder to make; it must be empty or not be there (default: data)')
    .option('--json', 'print the result as JSON')
    .action(async (path: string, options: KeyFlags & { readonly data?: string; readonly json?: true }) => {
      const data = options.data ?? 'data'
      const key = await keySourceOf(options, data, `the backup ${path}`)
      const report = await restoreBackup({ path, key, random }, data, Date.now())
      if (options.json) return printJson({ data, ...report })
      for (const line of describeReport(report)) print(line)
      print(`restored into ${data}; start the server with the same host names and the same key`)
      print('  The token before is void unless its file lies beside the folder. What came after the backup is lost:')
      print('  publish CRLs and revocations again, and let readers of events begin where the backup ends.')
    })
  addKeyOptions(command, KEY_NEEDED).addHelpText(
    'after',
    `
Examples:
  holdfast restore plant.backup --key-file data.key
  holdfast restore /mnt/backups/plant.backup --data /var/lib/holdfast --key-file /etc/holdfast/kek
  holdfast restore plant.backup --key-token 'pkcs11:token=holdfast;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so'`,
  )
}
