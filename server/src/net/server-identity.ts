import { X509Certificate, createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  encodePem,
  generateKey,
  issueRoot,
  issueServer,
  issuerOf,
  keySigner,
  parseCertificate,
  parseCertificates,
  spkiOf,
} from '@holdfast/pki'
import type { Certificate, Issuer, Random } from '@holdfast/pki'
import { ConfigError } from '../config.ts'
import type { Log } from '../log.ts'
import type { Clock } from '../ports/clock.ts'

/** What a TLS listener presents. */
export interface TlsMaterial {
  /** PEM: the server certificate, then its intermediates. */
  readonly certificates: string
  /** PEM, PKCS#8. */
  readonly key: string
}

export interface ServerIdentityOptions {
  /** Where an identity of our own is kept. */
  readonly folder: string
  /** DNS names and IP addresses that the certificate must carry. */
  readonly names: readonly [string, ...string[]]
  /** A certificate that the operator gives by file instead. */
  readonly files: {
    readonly certificate: string
    readonly key: string
    readonly passphraseFile?: string | undefined
  } | null
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

const DAY = 24 * 60 * 60 * 1000
const ROOT_LIFETIME = 20 * 365 * DAY
const SERVER_LIFETIME = 90 * DAY
/** Renewed while a third of its life is left, so that a server that is off for weeks still has time. */
const RENEWAL_MARGIN = SERVER_LIFETIME / 3
const CHECK_INTERVAL = 60 * 60 * 1000

/** The server's own certificate: made, renewed before it expires, or read from the operator's files. */
export class ServerIdentity {
  #material: TlsMaterial
  readonly #options: ServerIdentityOptions
  readonly #listeners = new Set<(material: TlsMaterial) => void>()
  readonly #timer: NodeJS.Timeout

  private constructor(options: ServerIdentityOptions, material: TlsMaterial) {
    this.#options = options
    this.#material = material
    this.#timer = setInterval(() => void this.refresh(), CHECK_INTERVAL)
    this.#timer.unref()
  }

  static async open(options: ServerIdentityOptions): Promise<ServerIdentity> {
    return new ServerIdentity(options, await loadMaterial(options))
  }

  get material(): TlsMaterial {
    return this.#material
  }

  /** PEM file of the root that clients must trust; null when the operator's own certificate is used. */
  get rootFile(): string | null {
    return this.#options.files === null ? rootFiles(this.#options.folder).certificate : null
  }

  onChange(listener: (material: TlsMaterial) => void): void {
    this.#listeners.add(listener)
  }

  /** Renews or rereads; a failure is logged and the present certificate stays in use. */
  async refresh(): Promise<void> {
    try {
      const material = await loadMaterial(this.#options)
      if (material.certificates === this.#material.certificates) return
      this.#material = material
      this.#options.log.info('the server certificate was renewed')
      for (const listener of this.#listeners) listener(material)
    } catch (error) {
      this.#options.log.error({ error }, 'the server certificate could not be renewed; the present one stays in use')
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#listeners.clear()
  }
}

async function loadMaterial(options: ServerIdentityOptions): Promise<TlsMaterial> {
  return options.files === null ? ownMaterial(options) : givenMaterial(options, options.files)
}

function givenMaterial(
  { names, clock, log }: ServerIdentityOptions,
  files: NonNullable<ServerIdentityOptions['files']>,
): TlsMaterial {
  const certificates = readText(files.certificate, 'tls.certificate')
  const passphrase =
    files.passphraseFile === undefined ? undefined : readText(files.passphraseFile, 'tls.passphraseFile').trimEnd()
  const key = parseKey(readText(files.key, 'tls.key'), files.key, passphrase)
  const leaf = parseChain(certificates, files.certificate)[0]
  if (!Buffer.from(leaf.spki).equals(spkiOf(key)))
    throw new ConfigError([`tls: the key in ${files.key} does not belong to the certificate in ${files.certificate}`])
  const now = clock.now()
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
  return { certificates, key: pkcs8(key) }
}

function covers(leaf: Certificate, name: string): boolean {
  const certificate = new X509Certificate(leaf.der)
  return certificate.checkHost(name) !== undefined || certificate.checkIP(name) !== undefined
}

async function ownMaterial(options: ServerIdentityOptions): Promise<TlsMaterial> {
  const files = serverFiles(options.folder)
  const root = await openRoot(options)
  if (existsSync(files.certificate) && existsSync(files.key)) {
    const material = { certificates: readFileSync(files.certificate, 'utf8'), key: readFileSync(files.key, 'utf8') }
    if (stillGood(material, root, options)) return material
  }
  const key = generateKey('p256')
  const term = { now: options.clock.now(), lifetime: SERVER_LIFETIME }
  const der = await issueServer(root, { names: options.names, spki: spkiOf(key), term }, options.random)
  const material = { certificates: encodePem('CERTIFICATE', der), key: pkcs8(key) }
  writeWhole(files.key, material.key, 0o600)
  writeWhole(files.certificate, material.certificates, 0o644)
  return material
}

function stillGood(material: TlsMaterial, root: Issuer, { names, clock }: ServerIdentityOptions): boolean {
  const [leaf] = parseCertificates(material.certificates)
  if (!leaf) return false
  const present = new Set(
    (leaf.extensions.subjectAltName ?? []).map((name) => ('value' in name ? String(name.value).toLowerCase() : '')),
  )
  return (
    leaf.notAfter - clock.now() > RENEWAL_MARGIN &&
    new X509Certificate(leaf.der).verify(new X509Certificate(root.certificate.der).publicKey) &&
    createPrivateKey(material.key).asymmetricKeyType === 'ec' &&
    Buffer.from(leaf.spki).equals(spkiOf(createPrivateKey(material.key))) &&
    names.every((name) => present.has(name.toLowerCase()) || covers(leaf, name))
  )
}

/** The root that signs the server certificates of this data folder, made at the first start. */
async function openRoot({ folder, clock, random }: ServerIdentityOptions): Promise<Issuer> {
  const files = rootFiles(folder)
  if (existsSync(files.key)) {
    const certificate = parseChain(readText(files.certificate, 'the server root'), files.certificate)[0]
    return issuerOf(certificate, keySigner(parseKey(readText(files.key, 'the server root key'), files.key, undefined)))
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const key = generateKey('p256')
  const subject = { commonName: `Holdfast server root ${Buffer.from(random(4)).toString('hex')}` }
  const der = await issueRoot(
    keySigner(key),
    { subject, pathLength: 0, term: { now: clock.now(), lifetime: ROOT_LIFETIME } },
    random,
  )
  writeWhole(files.certificate, encodePem('CERTIFICATE', der), 0o644)
  writeWhole(files.key, pkcs8(key), 0o600)
  return issuerOf(parseCertificate(der), keySigner(key))
}

function rootFiles(folder: string) {
  return { certificate: join(folder, 'server-root.cer'), key: join(folder, 'server-root.key.pem') }
}

function serverFiles(folder: string) {
  return { certificate: join(folder, 'server.cer'), key: join(folder, 'server.key.pem') }
}

function parseChain(pem: string, file: string): readonly [Certificate, ...Certificate[]] {
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

function parseKey(pem: string, file: string, passphrase: string | undefined): KeyObject {
  try {
    return createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase })
  } catch {
    throw new ConfigError([
      `${file} is not a PEM private key${passphrase === undefined ? ', or it is encrypted and needs a passphrase file' : ', or the passphrase is wrong'}`,
    ])
  }
}

function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

function readText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ConfigError([
      `${what}: ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`,
    ])
  }
}

/** A crash leaves the old file or the new one, never half of one. */
function writeWhole(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode, flush: true })
  renameSync(`${path}.new`, path)
}
