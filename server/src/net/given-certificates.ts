import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { spkiOf } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { ConfigError } from '../config.ts'
import type { Log } from '../log.ts'
import { parseChain, parseKey, pkcs8, readText } from './pem-files.ts'
import type { TlsMaterial, TlsPair } from './tls-material.ts'

interface PairFiles {
  readonly certificate: string
  readonly key: string
  readonly passphraseFile?: string | undefined
}

/** A certificate that the operator gives by file, and perhaps one of the other key type. */
export interface GivenFiles extends PairFiles {
  readonly alternative?: PairFiles | undefined
}

interface Expectation {
  readonly names: readonly string[]
  readonly now: number
  readonly log: Log
}

/** @throws ConfigError for files that cannot be used as they are. */
export function givenMaterial(files: GivenFiles, expectation: Expectation): TlsMaterial {
  const { alternative } = files
  const first = givenPair(files, expectation)
  if (alternative === undefined) return [first.pair]
  const second = givenPair(alternative, expectation)
  if (first.keyType === second.keyType)
    throw new ConfigError([`tls: the key in ${alternative.key} must be of another type than that in ${files.key}`])
  return [first.pair, second.pair]
}

function givenPair(files: PairFiles, { names, now, log }: Expectation): { pair: TlsPair; keyType: string } {
  const certificates = readText(files.certificate, 'tls.certificate')
  const passphrase =
    files.passphraseFile === undefined ? undefined : readText(files.passphraseFile, 'tls.passphraseFile').trimEnd()
  const key = parseKey(readText(files.key, 'tls.key'), files.key, passphrase)
  const leaf = parseChain(certificates, files.certificate)[0]
  if (!Buffer.from(leaf.spki).equals(spkiOf(key)))
    throw new ConfigError([`tls: the key in ${files.key} does not belong to the certificate in ${files.certificate}`])
  if (now > leaf.notAfter)
    throw new ConfigError([
      `tls: the certificate in ${files.certificate} expired on ${new Date(leaf.notAfter).toISOString()}`,
    ])
  const uncovered = names.filter((name) => !covers(leaf, name))
  if (uncovered.length > 0)
    log.warn(
      { uncovered },
      'the given server certificate does not carry these names: clients that dial them will refuse it',
    )
  return { pair: { certificates, key: pkcs8(key) }, keyType: key.asymmetricKeyType ?? '' }
}

export function covers(leaf: Certificate, name: string): boolean {
  const certificate = new X509Certificate(leaf.der)
  return (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined
}
