import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodePem, issueCrl } from '@holdfast/pki'
import { InvalidArgumentError, type Command } from 'commander'
import { print, printJson } from '../output.ts'
import { openCaFolder } from './ca-folder.ts'
import { displayName, instant } from './describe.ts'
import { addCaPassphraseOption, type CaPassphraseOptions } from './passphrase.ts'
import { revokedBy, takeCrlNumber } from './revoked.ts'

const DAY = 24 * 60 * 60 * 1000
const DEFAULT_DAYS = 30

interface CrlOptions extends CaPassphraseOptions {
  readonly ca: string
  readonly out?: string
  readonly days: number
  readonly pem?: true
  readonly json?: true
}

export function addCrl(pki: Command): void {
  const command = pki
    .command('crl')
    .description('sign the list of what a CA has revoked; each list has a greater number than the one before')
    .requiredOption('--ca <folder>', 'folder of the CA')
    .option('--out <file>', 'where to write it, over the one before (default: ca.crl in the folder of the CA)')
    .option('--days <n>', 'how long it counts: publish the next one before', parseDays, DEFAULT_DAYS)
    .option('--pem', 'write PEM instead of DER')
    .option('--json', 'print the result as JSON')
    .action(run)
  addCaPassphraseOption(command).addHelpText(
    'after',
    `
Example:
  holdfast pki crl --ca line7
  holdfast ca crl import line7/ca.crl`,
  )
}

async function run(options: CrlOptions): Promise<void> {
  const ca = await openCaFolder(options.ca, options.caPassphraseFile)
  const thisUpdate = Math.floor(Date.now() / 1000) * 1000
  const nextUpdate = thisUpdate + options.days * DAY
  const revoked = revokedBy(ca.path)
  const number = takeCrlNumber(ca.path)
  const der = await issueCrl(ca.issuer, { number, thisUpdate, nextUpdate, revoked })
  const file = options.out ?? join(ca.path, 'ca.crl')
  replace(file, options.pem ? encodePem('X509 CRL', der) : der)
  if (options.json) return printJson({ number: String(number), entries: revoked.length, nextUpdate, file })
  const entries = revoked.length === 1 ? '1 certificate' : `${revoked.length} certificates`
  print(`CRL ${number} of ${displayName(ca.issuer.certificate)}: ${entries} revoked, next due ${instant(nextUpdate)}`)
  print(`  ${file}  for everybody: import it with \`holdfast ca crl import\`, or put it on a web server`)
}

/** A web server that reads it meanwhile sees the old list or the new one, never half of one. */
function replace(file: string, content: string | Uint8Array): void {
  writeFileSync(`${file}.new`, content, { mode: 0o644, flush: true })
  renameSync(`${file}.new`, file)
}

function parseDays(text: string): number {
  if (/^\d{1,4}$/.test(text) && Number(text) >= 1) return Number(text)
  throw new InvalidArgumentError('Give a number of days, 1 to 9999.')
}
