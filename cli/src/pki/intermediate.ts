import { randomBytes } from 'node:crypto'
import { generateKey, issueIntermediate, parseCertificate, spkiOf } from '@holdfast/pki'
import type { Command } from 'commander'
import { changedAddresses, inherited, publicationOf } from './addresses.ts'
import { createCaFolder, demandNoCa, openCaFolder, recordIssued } from './ca-folder.ts'
import { addCaOptions, reportCa, subjectFrom, type CaOptions } from './ca-options.ts'
import { addCaPassphraseOption, newPassphrase, type CaPassphraseOptions } from './passphrase.ts'
import { termFrom } from './validity.ts'

const DEFAULT_DAYS = 5 * 365
/** The least that is needed: a CA for devices needs no CA below it. */
const DEFAULT_PATH_LENGTH = 0

interface IntermediateOptions extends CaOptions, CaPassphraseOptions {
  readonly ca: string
}

export function addIntermediate(pki: Command): void {
  const command = pki
    .command('intermediate <folder>')
    .description('make a CA below another one, in a folder of its own')
    .requiredOption('--ca <folder>', 'folder of the CA that signs it')
    .action(run)
  addCaPassphraseOption(addCaOptions(command, DEFAULT_DAYS, DEFAULT_PATH_LENGTH)).addHelpText(
    'after',
    `
Examples:
  holdfast pki intermediate line7 --ca contoso-root --name "Contoso Line 7 CA"
  holdfast pki intermediate plant --ca contoso-root --name "Contoso Plant CA" --path-length 1
  holdfast pki intermediate line8 --ca plant --name "Contoso Line 8 CA"`,
  )
}

async function run(folder: string, options: IntermediateOptions): Promise<void> {
  const now = Date.now()
  demandNoCa(folder)
  const parent = await openCaFolder(options.ca, options.caPassphraseFile)
  const privateKey = generateKey(options.key)
  const addresses = changedAddresses(inherited(parent.addresses), options, { spki: spkiOf(privateKey) })
  const passphrase = await newPassphrase(options)
  const profile = {
    subject: subjectFrom(options),
    pathLength: options.pathLength ?? DEFAULT_PATH_LENGTH,
    spki: spkiOf(privateKey),
    term: termFrom(options, DEFAULT_DAYS, now),
    publication: publicationOf(parent.addresses, parent.issuer.certificate),
  }
  const certificate = parseCertificate(await issueIntermediate(parent.issuer, profile, randomBytes))
  recordIssued(parent, 'intermediate', [certificate])
  const files = createCaFolder(folder, { certificate, above: parent.chain, privateKey, passphrase, addresses })
  reportCa('intermediate CA', certificate, files, { encrypted: passphrase !== undefined, json: options.json })
}
