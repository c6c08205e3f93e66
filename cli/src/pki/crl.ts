import { join } from 'node:path'
import { encodePem, issueCrl, issueDeltaCrl } from '@holdfast/pki'
import { InvalidArgumentError, type Command } from 'commander'
import { print, printJson } from '../output.ts'
import { completed } from './addresses.ts'
import { openCaFolder, type CaFolder } from './ca-folder.ts'
import { displayName, instant } from './describe.ts'
import { demandWritable, replaceFile } from './files.ts'
import { addCaPassphraseOption, type CaPassphraseOptions } from './passphrase.ts'
import { baseOf, changesSince, recordBase, revokedBy, takeCrlNumber } from './revoked.ts'

const DAY = 24 * 60 * 60 * 1000
const DEFAULT_DAYS = 30
const DEFAULT_DELTA_DAYS = 2

interface CrlOptions extends CaPassphraseOptions {
  readonly ca: string
  readonly out?: string
  readonly days?: number
  readonly delta?: true
  readonly pem?: true
  readonly json?: true
}

export function addCrl(pki: Command): void {
  const command = pki
    .command('crl')
    .description('sign the list of what a CA has revoked; each list has a greater number than the one before')
    .requiredOption('--ca <folder>', 'folder of the CA')
    .option('--delta', 'only what has changed since the last complete list, which still counts')
    .option('--out <file>', 'where to write it, over the one before (default: ca.crl or ca-delta.crl in the folder)')
    .option(
      '--days <n>',
      `how long it counts: publish the next one before (default: ${DEFAULT_DAYS}, of a delta ${DEFAULT_DELTA_DAYS})`,
      parseDays,
    )
    .option('--pem', 'write PEM instead of DER')
    .option('--json', 'print the result as JSON')
    .action(run)
  addCaPassphraseOption(command).addHelpText(
    'after',
    `
Examples:
  holdfast pki crl --ca line7
  holdfast pki crl --ca line7 --delta
  holdfast ca crl import line7/ca.crl

Complete lists and deltas share one sequence of numbers. Where the deltas are, \`--delta-url\` of the makers of CAs and of
\`holdfast pki addresses\` says; it stands in the complete lists.`,
  )
}

interface Signed {
  readonly der: Buffer
  readonly number: bigint
  readonly baseNumber: bigint | null
  readonly entries: number
  readonly nextUpdate: number
}

async function run(options: CrlOptions): Promise<void> {
  const ca = await openCaFolder(options.ca, options.caPassphraseFile)
  const file = options.out ?? join(ca.path, options.delta ? 'ca-delta.crl' : 'ca.crl')
  // A number that is used up for a list that nobody gets would be a gap, which readers cannot tell from a lost list.
  demandWritable(file)
  const signed = await (options.delta ? signDelta(ca, options) : signComplete(ca, options))
  const { der, number, baseNumber, entries, nextUpdate } = signed
  replaceFile(file, options.pem ? encodePem('X509 CRL', der) : der)
  if (options.json)
    return printJson({
      number: String(number),
      ...(baseNumber !== null && { baseNumber: String(baseNumber) }),
      entries,
      nextUpdate: new Date(nextUpdate).toISOString(),
      file,
    })
  const what = baseNumber === null ? 'CRL' : 'delta CRL'
  const of = displayName(ca.issuer.certificate)
  print(`${what} ${number} of ${of}: ${told(entries, baseNumber)}, next due ${instant(nextUpdate)}`)
  print(`  ${file}  for everybody: import it with \`holdfast ca crl import\`, or put it on a web server`)
}

function told(entries: number, baseNumber: bigint | null): string {
  if (baseNumber !== null) return `${entries} ${entries === 1 ? 'change' : 'changes'} since CRL ${baseNumber}`
  return `${entries} ${entries === 1 ? 'certificate' : 'certificates'} revoked`
}

async function signComplete(ca: CaFolder, { days = DEFAULT_DAYS }: CrlOptions): Promise<Signed> {
  const { revoked, lines } = revokedBy(ca.path)
  const deltas = completed(ca.addresses.deltaUrl, ca.issuer.certificate)
  const term = termOf(days)
  const number = takeCrlNumber(ca.path)
  const der = await issueCrl(ca.issuer, { number, ...term, revoked, deltas })
  recordBase(ca.path, { number, lines })
  return { der, number, baseNumber: null, entries: revoked.length, nextUpdate: term.nextUpdate }
}

async function signDelta(ca: CaFolder, { days = DEFAULT_DELTA_DAYS }: CrlOptions): Promise<Signed> {
  const base = baseOf(ca.path)
  const changes = changesSince(ca.path, base)
  const term = termOf(days)
  const number = takeCrlNumber(ca.path)
  const der = await issueDeltaCrl(ca.issuer, { number, baseNumber: base.number, ...term, changes })
  return { der, number, baseNumber: base.number, entries: changes.length, nextUpdate: term.nextUpdate }
}

function termOf(days: number): { readonly thisUpdate: number; readonly nextUpdate: number } {
  const thisUpdate = Math.floor(Date.now() / 1000) * 1000
  return { thisUpdate, nextUpdate: thisUpdate + days * DAY }
}

function parseDays(text: string): number {
  if (/^\d{1,4}$/.test(text) && Number(text) >= 1) return Number(text)
  throw new InvalidArgumentError('Give a number of days, 1 to 9999.')
}
