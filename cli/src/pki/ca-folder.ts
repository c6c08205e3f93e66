import { appendFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import type { KeyObject } from 'node:crypto'
import {
  encodePem,
  issuerOf,
  keySigner,
  parseCertificates,
  PathVerifier,
  type Certificate,
  type Issuer,
} from '@holdfast/pki'
import { CommandError } from '../command-error.ts'
import { readAddresses, writeAddresses, type Addresses } from './addresses.ts'
import { demandAbsent, makeFolder, parseInput, readInput, writeTogether } from './files.ts'
import { decodePrivateKey, encodePrivateKey } from './key-file.ts'

/** A CA on disk, one folder each: `ca.key`, `ca.cer`, `chain.pem` and what it has issued. */
export interface CaFolder {
  readonly path: string
  readonly issuer: Issuer
  /** The CA's certificate and those above it, nearest first; the root last, where it is known. */
  readonly chain: readonly [Certificate, ...Certificate[]]
  /** Where issued certificates go unless another folder is named. */
  readonly issued: string
  /** Where it publishes. */
  readonly addresses: Addresses
}

export interface CaFiles {
  readonly key: string
  readonly certificate: string
  readonly chain: string
}

export function caFiles(path: string): CaFiles {
  return { key: join(path, 'ca.key'), certificate: join(path, 'ca.cer'), chain: join(path, 'chain.pem') }
}

/** Refuses, before a key is made, a folder that already holds a CA. */
export function demandNoCa(path: string): void {
  demandAbsent(Object.values(caFiles(path)))
}

export interface NewCa {
  readonly certificate: Certificate
  readonly above: readonly Certificate[]
  readonly privateKey: KeyObject
  readonly passphrase: string | undefined
  readonly addresses?: Addresses
}

export function createCaFolder(path: string, ca: NewCa): CaFiles {
  const { certificate, above, privateKey, passphrase, addresses } = ca
  const files = caFiles(path)
  makeFolder(path, 0o700)
  writeTogether([
    { path: files.key, content: encodePrivateKey(privateKey, passphrase), secret: true, flush: true },
    { path: files.certificate, content: pemOf([certificate]), secret: false },
    { path: files.chain, content: pemOf([certificate, ...above]), secret: false },
  ])
  if (addresses !== undefined) writeAddresses(path, addresses)
  return files
}

export async function openCaFolder(path: string, passphraseFile: string | undefined): Promise<CaFolder> {
  const files = caFiles(path)
  for (const file of [files.certificate, files.key]) {
    if (existsSync(file)) continue
    throw new CommandError(
      `'${path}' is not the folder of a CA: it has no ${file === files.key ? 'ca.key' : 'ca.cer'}. ` +
        'Make one with `holdfast pki root`, `holdfast pki intermediate` or `holdfast pki import`',
    )
  }
  const [certificate] = parseInput(files.certificate, 'the CA certificate', parseCertificates)
  if (certificate === undefined) throw new CommandError(`'${files.certificate}' holds no certificate`)
  const source = { file: passphraseFile, flag: '--ca-passphrase-file' }
  const key = await decodePrivateKey(readInput(files.key, 'the CA key'), files.key, source)
  const issuer = issuerOf(certificate, keySigner(key))
  return {
    path,
    issuer,
    chain: [certificate, ...above(files.chain)],
    issued: join(path, 'issued'),
    addresses: readAddresses(path),
  }
}

function above(chainFile: string): Certificate[] {
  if (!existsSync(chainFile)) return []
  return parseInput(chainFile, 'the chain of the CA', parseCertificates).slice(1)
}

/** What a holder sends along with its own certificate: every CA but the root, which the other side must have anyway. */
export function intermediatesOf(ca: CaFolder): Certificate[] {
  const { signatures } = new PathVerifier({ cacheSize: 1 })
  // A CA that changed its key issues itself a certificate that is no root: only the signature tells the two apart.
  return ca.chain.filter((certificate) => !(certificate.selfIssued && signatures.verify(certificate, certificate)))
}

export type IssuedKind = 'intermediate' | 'device' | 'request' | 'verification'

/**
 * Notes in the CA's index what it has signed, one JSON object a line, before anything leaves: a certificate that the
 * index does not know could never be revoked by its serial.
 */
export function recordIssued(ca: CaFolder, kind: IssuedKind, certificates: readonly Certificate[]): void {
  makeFolder(ca.issued)
  const lines = certificates.map((certificate) =>
    JSON.stringify({
      serial: certificate.serialHex,
      kind,
      subject: certificate.subject.toString(),
      notBefore: new Date(certificate.notBefore).toISOString(),
      notAfter: new Date(certificate.notAfter).toISOString(),
      sha256: certificate.sha256,
    }),
  )
  appendFileSync(join(ca.issued, 'index.jsonl'), `${lines.join('\n')}\n`, { flush: true })
}

export function pemOf(certificates: readonly Certificate[]): string {
  return certificates.map(({ der }) => encodePem('CERTIFICATE', der)).join('')
}
