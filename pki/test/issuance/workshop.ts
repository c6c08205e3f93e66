import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  encodePem,
  generateKey,
  issueDevice,
  issueIntermediate,
  issuerOf,
  issueRoot,
  keySigner,
  parseCertificate,
  spkiOf,
  type Certificate,
  type Issuer,
  type KeyType,
} from '@holdfast/pki'
import { without } from '../../../test/foreign-program.ts'

export const DAY = 24 * 60 * 60 * 1000
/** A whole second, so that times survive the trip through a certificate unchanged. */
export const NOW = Math.floor(Date.now() / 1000) * 1000

export interface TestCa {
  readonly issuer: Issuer
  readonly certificate: Certificate
  readonly key: KeyObject
}

interface CaOptions {
  readonly name?: string
  readonly key?: KeyType
  readonly pathLength?: number
  /** Of life. */
  readonly days?: number
}

export async function makeRoot({ name = 'Test Root', key = 'p256', pathLength, days = 3650 }: CaOptions = {}) {
  const privateKey = generateKey(key)
  const profile = { subject: { commonName: name }, term: { now: NOW, lifetime: days * DAY } }
  const limit = pathLength === undefined ? {} : { pathLength }
  return caOf(privateKey, await issueRoot(keySigner(privateKey), { ...profile, ...limit }, randomBytes))
}

export async function makeIntermediate(
  above: TestCa,
  { name = 'Test Intermediate', key = 'p256', pathLength, days = 1000 }: CaOptions = {},
) {
  const privateKey = generateKey(key)
  const profile = { subject: { commonName: name }, spki: spkiOf(privateKey), term: { now: NOW, lifetime: days * DAY } }
  const limit = pathLength === undefined ? {} : { pathLength }
  return caOf(privateKey, await issueIntermediate(above.issuer, { ...profile, ...limit }, randomBytes))
}

export async function makeDevice(ca: TestCa, id: string, key: KeyType = 'p256') {
  const privateKey = generateKey(key)
  const profile = { id, spki: spkiOf(privateKey), term: { now: NOW, lifetime: 365 * DAY } }
  return { privateKey, certificate: parseCertificate(await issueDevice(ca.issuer, profile, randomBytes)) }
}

function caOf(key: KeyObject, der: Uint8Array): TestCa {
  const certificate = parseCertificate(der)
  return { issuer: issuerOf(certificate, keySigner(key)), certificate, key }
}

export function pem(...certificates: readonly Certificate[]): string {
  return certificates.map(({ der }) => encodePem('CERTIFICATE', der)).join('')
}

export function keyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** A folder with files for `openssl` to work on, removed when the scope ends. */
export class Workshop implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'holdfast-pki-'))

  write(name: string, content: string | Uint8Array): string {
    const path = join(this.path, name)
    writeFileSync(path, content)
    return path
  }

  openssl(...args: readonly string[]): string {
    return execFileSync('openssl', args, { cwd: this.path, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  }

  /** stdout and stderr of a call that may fail. */
  tryOpenssl(...args: readonly string[]): { status: number | null; output: string } {
    const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: this.path, encoding: 'utf8' })
    return { status, output: stdout + stderr }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

export const withoutOpenssl = without('openssl')
