import { existsSync } from 'node:fs'
import { parseCertificates } from '@holdfast/pki'
import type { Command } from 'commander'
import { CommandError } from '../command-error.ts'
import { print, printJson } from '../output.ts'
import {
  addCaAddressOptions,
  changedAddresses,
  completed,
  NO_ADDRESSES,
  readAddresses,
  writeAddresses,
  type AddressOptions,
} from './addresses.ts'
import { caFiles } from './ca-folder.ts'
import { displayName } from './describe.ts'
import { parseInput } from './files.ts'

interface Options extends AddressOptions {
  readonly clear?: true
  readonly json?: true
}

export function addAddresses(pki: Command): void {
  const command = pki
    .command('addresses <folder>')
    .description('show or set where a CA publishes: its CRLs, its OCSP responder, its certificate')
    .option('--clear', 'forget all that are not given')
    .option('--json', 'print the result as JSON')
    .action(run)
  addCaAddressOptions(command).addHelpText(
    'after',
    `
Examples:
  holdfast pki addresses line7
  holdfast pki addresses line7 --crl-url "http://iot.contoso.example/crl/{key}.crl"

{key} stands for the name, made from its key, under which a hub serves the lists of a CA; such an address
holds for CAs that are made below as well. What was signed before keeps what stands in it.`,
  )
}

function run(folder: string, { clear, json, ...given }: Options): void {
  const { certificate: file } = caFiles(folder)
  if (!existsSync(file)) throw new CommandError(`'${folder}' is not the folder of a CA: it has no ca.cer`)
  const [certificate] = parseInput(file, 'the CA certificate', parseCertificates)
  if (certificate === undefined) throw new CommandError(`'${file}' holds no certificate`)
  const before = clear ? NO_ADDRESSES : readAddresses(folder)
  const addresses = changedAddresses(before, given, certificate)
  if (clear || Object.keys(given).length > 0) writeAddresses(folder, addresses)
  const rows = [
    ['CRL', 'crlUrl'],
    ['delta CRL', 'deltaUrl'],
    ['OCSP', 'ocspUrl'],
    ['certificate', 'issuerUrl'],
  ] as const
  if (json)
    return printJson(Object.fromEntries(rows.map(([, kind]) => [kind, completed(addresses[kind], certificate)])))
  print(`${displayName(certificate)} publishes`)
  for (const [what, kind] of rows)
    print(`  ${what.padEnd(12)} ${completed(addresses[kind], certificate).join(', ') || 'nowhere that it knows of'}`)
}
