import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import {
  decodePem,
  issueFromRequest,
  parseCertificate,
  parseCertificateRequest,
  requestedDeviceId,
} from '@holdfast/pki'
import type { CertificateRequest } from '@holdfast/pki'
import type { Command } from 'commander'
import { CommandError } from '../command-error.ts'
import { print, printJson } from '../output.ts'
import { addIssuedAddressOptions, publicationOf, type AddressOptions } from './addresses.ts'
import { intermediatesOf, openCaFolder, pemOf, recordIssued } from './ca-folder.ts'
import { certificateJson, day } from './describe.ts'
import { demandAbsent, makeFolder, parseInput, writeTogether } from './files.ts'
import { addCaPassphraseOption, type CaPassphraseOptions } from './passphrase.ts'
import { addValidityOptions, termFrom, type ValidityOptions } from './validity.ts'

const DEFAULT_DAYS = 365

interface SignCsrOptions extends CaPassphraseOptions, ValidityOptions, AddressOptions {
  readonly ca: string
  readonly id?: string
  readonly out?: string
  readonly json?: true
}

export function addSignCsr(pki: Command): void {
  const command = pki
    .command('sign-csr <request>')
    .description('make a device certificate for a key that stays on the device (PKCS#10 request, PEM or DER)')
    .requiredOption('--ca <folder>', 'folder of the CA that signs')
    .option('--id <id>', 'the device id it must be for; another one in the request is refused')
    .option('--out <folder>', 'where to write (default: issued/ in the folder of the CA)')
    .action(run)
  addIssuedAddressOptions(addCaPassphraseOption(addValidityOptions(command, DEFAULT_DAYS)))
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout device.key -subj /CN=pump-0001 -out device.csr
  holdfast pki sign-csr device.csr --ca line7 --id pump-0001

Only the public key and the common name are taken from the request; extensions it asks for are not granted, and one that
asks to become a CA is refused.`,
    )
}

async function run(path: string, options: SignCsrOptions): Promise<void> {
  const now = Date.now()
  const request = readRequest(path)
  const id = requestedDeviceId(request)
  if (options.id !== undefined && options.id !== id) {
    throw new CommandError(`the request is for '${id}', not for '${options.id}': nothing was signed`)
  }
  const ca = await openCaFolder(options.ca, options.caPassphraseFile)
  const folder = options.out ?? ca.issued
  const files = { certificate: join(folder, `${id}.cer`), chain: join(folder, `${id}.chain.pem`) }
  demandAbsent(Object.values(files))
  const term = termFrom(options, DEFAULT_DAYS, now)
  const publication = publicationOf(ca.addresses, ca.issuer.certificate, options)
  const certificate = parseCertificate(await issueFromRequest(ca.issuer, { request, term, publication }, randomBytes))
  makeFolder(folder)
  recordIssued(ca, 'request', [certificate])
  writeTogether([
    { path: files.certificate, content: pemOf([certificate]), secret: false },
    { path: files.chain, content: pemOf([certificate, ...intermediatesOf(ca)]), secret: false },
  ])
  if (options.json) return printJson({ id, ...certificateJson(certificate), files })
  print(`device "${id}", valid through ${day(certificate.notAfter)}`)
  print(`  ${files.certificate}  certificate: what one enrols`)
  print(`  ${files.chain}  certificate and intermediates: what goes back to the device`)
}

const REQUEST_LABELS = new Set(['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'])

function readRequest(path: string): CertificateRequest {
  return parseInput(path, 'the certificate request', (bytes) => requestIn(bytes, path))
}

function requestIn(bytes: Buffer, path: string): CertificateRequest {
  if (!bytes.includes('-----BEGIN ')) return parseCertificateRequest(bytes)
  const blocks = decodePem(bytes.toString('latin1')).filter(({ label }) => REQUEST_LABELS.has(label))
  const [block, second] = blocks
  if (block === undefined || second !== undefined) {
    throw new CommandError(`'${path}' holds ${blocks.length} certificate requests where one is expected`)
  }
  return parseCertificateRequest(block.der)
}
