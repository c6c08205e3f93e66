import { createPrivateKey, type KeyObject } from 'node:crypto'
import { parseCertificate, parseCertificates, sameBytes, spkiOf, type Certificate } from '@holdfast/pki'
import { CommandError } from '../command-error.ts'
import { readInput } from '../pki/files.ts'
import { decodePrivateKey } from '../pki/key-file.ts'
import { openPfx } from '../pki/pfx-file.ts'

export interface SignerOptions {
  readonly key?: string
  readonly certificate?: string
  readonly pfx?: string
  readonly passphraseFile?: string
}

export interface SignerFiles {
  readonly key: KeyObject
  /** The certificate of the key first. */
  readonly chain: readonly [Certificate, ...Certificate[]]
}

/** The device's key and its chain, from a `.pfx` or from two files. */
export async function readSigner(options: SignerOptions): Promise<SignerFiles> {
  const source = { file: options.passphraseFile, flag: '--passphrase-file' }
  if (options.pfx !== undefined) {
    const { privateKey, certificates } = await openPfx(readInput(options.pfx, 'the .pfx file'), options.pfx, source)
    const key = createPrivateKey({ key: privateKey, format: 'der', type: 'pkcs8' })
    return { key, chain: chainOf(key, certificates.map(parseCertificate), options.pfx) }
  }
  if (options.key === undefined || options.certificate === undefined)
    throw new CommandError('give --pfx FILE, or --key FILE and --certificate FILE', 2)
  const key = await decodePrivateKey(readInput(options.key, 'the key'), options.key, source)
  const certificates = parseCertificates(readInput(options.certificate, 'the certificate'))
  return { key, chain: chainOf(key, certificates, options.certificate) }
}

/** Roots are left out: whoever verifies has its own. */
function chainOf(key: KeyObject, certificates: readonly Certificate[], file: string): SignerFiles['chain'] {
  const spki = spkiOf(key)
  const leaf = certificates.find((certificate) => sameBytes(certificate.spki, spki))
  if (leaf === undefined) throw new CommandError(`'${file}' holds no certificate of the key`)
  return [leaf, ...certificates.filter((certificate) => certificate !== leaf && !certificate.selfIssued)]
}
