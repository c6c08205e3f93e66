import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { generateKey, issueVerification, parseCertificate, spkiOf } from '@holdfast/pki'
import type { Command } from 'commander'
import { print, printJson } from '../output.ts'
import { openCaFolder, pemOf, recordIssued } from './ca-folder.ts'
import { certificateJson, instant } from './describe.ts'
import { demandAbsent, writeNew } from './files.ts'
import { addCaPassphraseOption, type CaPassphraseOptions } from './passphrase.ts'

const DAY = 24 * 60 * 60 * 1000

interface VerificationOptions extends CaPassphraseOptions {
  readonly ca: string
  readonly out?: string
  readonly json?: true
}

export function addVerificationCert(pki: Command): void {
  const command = pki
    .command('verification-cert <code>')
    .description('prove that you hold a CA key: a certificate whose common name is the verification code')
    .requiredOption('--ca <folder>', 'folder of the CA that is to be proven')
    .option('--out <file>', 'where to write it (default: verification-CODE.cer in the folder of the CA)')
    .option('--json', 'print the result as JSON')
    .action(run)
  addCaPassphraseOption(command).addHelpText(
    'after',
    `
Example:
  holdfast pki verification-cert 7A69A1F2C0… --ca contoso-root --out proof.cer

The certificate is valid for one day and its own private key is thrown away: only the CA's signature counts.`,
  )
}

async function run(code: string, options: VerificationOptions): Promise<void> {
  const now = Date.now()
  const ca = await openCaFolder(options.ca, options.caPassphraseFile)
  const profile = { code, spki: spkiOf(generateKey('p256')), term: { now, lifetime: DAY } }
  const certificate = parseCertificate(await issueVerification(ca.issuer, profile, randomBytes))
  const file = options.out ?? join(ca.path, `verification-${code}.cer`)
  demandAbsent([file])
  recordIssued(ca, 'verification', [certificate])
  writeNew(file, pemOf([certificate]))
  if (options.json) return printJson({ ...certificateJson(certificate), files: { certificate: file } })
  print(`verification certificate for the code ${code}, valid until ${instant(certificate.notAfter)}`)
  print(`  ${file}  upload it as the proof`)
}
