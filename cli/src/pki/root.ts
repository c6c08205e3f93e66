import { randomBytes } from 'node:crypto'
import { generateKey, issueRoot, keySigner, parseCertificate, spkiOf } from '@holdfast/pki'
import type { Command } from 'commander'
import { changedAddresses, NO_ADDRESSES } from './addresses.ts'
import { createCaFolder, demandNoCa } from './ca-folder.ts'
import { addCaOptions, reportCa, subjectFrom, type CaOptions } from './ca-options.ts'
import { newPassphrase } from './passphrase.ts'
import { termFrom } from './validity.ts'

const DEFAULT_DAYS = 20 * 365

export function addRoot(pki: Command): void {
  const command = pki
    .command('root <folder>')
    .description('make a root CA: a key and a self-signed certificate, in a folder of their own')
    .action(run)
  addCaOptions(command, DEFAULT_DAYS).addHelpText(
    'after',
    `
Examples:
  holdfast pki root contoso-root --name "Contoso Root CA"
  holdfast pki root contoso-root --name "Contoso Root CA" --key p384 --ask-passphrase --days 7300
  holdfast pki root contoso-root --name "Contoso Root CA" --crl-url "http://iot.contoso.example/crl/{key}.crl"

Keep the folder offline: whoever holds ca.key can make devices. Nothing but ca.cer has to leave it.
The addresses stand in what the CA signs; {key} stands for the name, made from its key, under which a hub serves its lists, and
such an address holds for the CAs below it too. See \`holdfast pki addresses\`.`,
  )
}

async function run(folder: string, options: CaOptions): Promise<void> {
  const now = Date.now()
  demandNoCa(folder)
  const privateKey = generateKey(options.key)
  const addresses = changedAddresses(NO_ADDRESSES, options, { spki: spkiOf(privateKey) })
  const passphrase = await newPassphrase(options)
  const profile = { subject: subjectFrom(options), term: termFrom(options, DEFAULT_DAYS, now) }
  const limit = options.pathLength === undefined ? {} : { pathLength: options.pathLength }
  const certificate = parseCertificate(await issueRoot(keySigner(privateKey), { ...profile, ...limit }, randomBytes))
  const files = createCaFolder(folder, { certificate, above: [], privateKey, passphrase, addresses })
  reportCa('root CA', certificate, files, { encrypted: passphrase !== undefined, json: options.json })
}
