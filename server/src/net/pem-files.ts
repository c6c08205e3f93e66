import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { parseCertificates } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { ConfigError } from '../config.ts'

/** The PEM certificates of a file, in order. `file` names it in a ConfigError. */
export function parseChain(pem: string, file: string): readonly [Certificate, ...Certificate[]] {
  try {
    const [first, ...rest] = parseCertificates(pem)
    if (first) return [first, ...rest]
  } catch (cause) {
    throw new ConfigError([
      `${file} is not a PEM certificate: ${cause instanceof Error ? cause.message : String(cause)}`,
    ])
  }
  throw new ConfigError([`${file} holds no PEM certificate`])
}

/** A private key, PKCS#8 or older. `file` names it in a ConfigError. */
export function parseKey(pem: string, file: string, passphrase: string | undefined): KeyObject {
  try {
    return createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase })
  } catch {
    throw new ConfigError([
      `${file} is not a PEM private key${passphrase === undefined ? ', or it is encrypted and needs a passphrase file' : ', or the passphrase is wrong'}`,
    ])
  }
}

export function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' })
}

/** Throws a ConfigError that says what the file is for. */
export function readText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ConfigError([
      `${what}: ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`,
    ])
  }
}

/** A crash leaves the old file or the new one, never half of one. */
export function writeWhole(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode, flush: true })
  renameSync(`${path}.new`, path)
}
