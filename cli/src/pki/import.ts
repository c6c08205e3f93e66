import { createPrivateKey, type KeyObject } from 'node:crypto'
import {
  issuerOf,
  keySigner,
  parseCertificate,
  parseCertificates,
  PathVerifier,
  sameBytes,
  spkiOf,
  type Certificate,
} from '@holdfast/pki'
import { Option, type Command } from 'commander'
import { CommandError } from '../command-error.ts'
import { addCaAddressOptions, changedAddresses, NO_ADDRESSES, type AddressOptions } from './addresses.ts'
import { createCaFolder, demandNoCa } from './ca-folder.ts'
import { reportCa } from './ca-options.ts'
import { displayName } from './describe.ts'
import { parseInput, readInput } from './files.ts'
import { decodePrivateKey } from './key-file.ts'
import { addPassphraseOptions, newPassphrase, type PassphraseOptions } from './passphrase.ts'
import { openPfx } from './pfx-file.ts'

interface ImportOptions extends PassphraseOptions, AddressOptions {
  readonly chain?: string
  readonly key?: string
  readonly pfx?: string
  readonly keyPassphraseFile?: string
  readonly json?: true
}

export function addImport(pki: Command): void {
  const command = pki
    .command('import <folder>')
    .description('take over a CA that was made or bought elsewhere: its chain and its key')
    .option('--chain <file>', 'PEM with the certificate of the CA and those above it, in any order')
    .option('--key <file>', 'its private key, PEM or DER, encrypted or not')
    .addOption(new Option('--pfx <file>', 'both in one .pfx').conflicts(['chain', 'key']))
    .option('--key-passphrase-file <file>', 'the passphrase of the key or .pfx to import (asked for if absent)')
    .action(run)
  addPassphraseOptions(addCaAddressOptions(command), 'the copy in ca.key')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  holdfast pki import bought-ca --chain ca-chain.pem --key ca-key.pem
  holdfast pki import bought-ca --pfx ca.pfx --key-passphrase-file old.txt --passphrase-file new.txt`,
    )
}

interface Material {
  readonly privateKey: KeyObject
  readonly certificates: readonly Certificate[]
}

async function run(folder: string, options: ImportOptions): Promise<void> {
  demandNoCa(folder)
  const { privateKey, certificates } = await readMaterial(options)
  const certificate = certificateOf(privateKey, certificates)
  issuerOf(certificate, keySigner(privateKey))
  const addresses = changedAddresses(NO_ADDRESSES, options, certificate)
  const passphrase = await newPassphrase(options)
  const files = createCaFolder(folder, {
    certificate,
    above: chainAbove(certificate, certificates),
    privateKey,
    passphrase,
    addresses,
  })
  reportCa('imported CA', certificate, files, { encrypted: passphrase !== undefined, json: options.json })
}

async function readMaterial({ chain, key, pfx, keyPassphraseFile }: ImportOptions): Promise<Material> {
  const flag = '--key-passphrase-file'
  if (pfx !== undefined) {
    const bytes = readInput(pfx, 'the .pfx')
    const contents = await openPfx(bytes, pfx, { file: keyPassphraseFile, flag })
    const privateKey = createPrivateKey({ key: contents.privateKey, format: 'der', type: 'pkcs8' })
    return { privateKey, certificates: contents.certificates.map(parseCertificate) }
  }
  if (chain === undefined || key === undefined) throw new CommandError('give --chain and --key, or --pfx', 2)
  const certificates = parseInput(chain, 'the certificate chain', parseCertificates)
  const privateKey = await decodePrivateKey(readInput(key, 'the key'), key, { file: keyPassphraseFile, flag })
  return { privateKey, certificates }
}

/** The certificate of the key. Of several (a renewed CA keeps its key) the one that lasts longest. */
function certificateOf(privateKey: KeyObject, certificates: readonly Certificate[]): Certificate {
  const spki = spkiOf(privateKey)
  const [certificate] = certificates
    .filter((candidate) => sameBytes(candidate.spki, spki))
    .toSorted((a, b) => b.notAfter - a.notAfter)
  if (certificate !== undefined) return certificate
  const names = certificates.map(displayName).join(', ')
  throw new CommandError(`the key belongs to none of the certificates given: ${names || 'there is none'}`)
}

/** The certificates above, nearest first, each having signed the one before; what is unrelated is left out. */
function chainAbove(certificate: Certificate, certificates: readonly Certificate[]): Certificate[] {
  const { signatures } = new PathVerifier({ cacheSize: certificates.length })
  const chain: Certificate[] = []
  for (let lower = certificate; !lower.selfIssued;) {
    const issuer = certificates.find(
      (candidate) =>
        candidate.subject.key === lower.issuer.key &&
        candidate !== certificate &&
        !chain.includes(candidate) &&
        signatures.verify(lower, candidate),
    )
    if (issuer === undefined) break
    chain.push(issuer)
    lower = issuer
  }
  return chain
}
