import { X509Certificate, createPrivateKey, generateKeyPair } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
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
import type { Issuer, Random } from '@holdfast/pki'
import type { Clock } from '../ports/clock.ts'
import type { SecretFiles } from '../ports/secret-files.ts'
import { covers } from './given-certificates.ts'
import { parseChain, parseKey, pkcs8, readText, writeWhole } from './pem-files.ts'
import type { TlsMaterial, TlsPair } from './tls-material.ts'

const DAY = 24 * 60 * 60 * 1000
const ROOT_LIFETIME = 20 * 365 * DAY
const SERVER_LIFETIME = 90 * DAY
/** Renewed while a third of its life is left, so that a server that is off for weeks still has time. */
const RENEWAL_MARGIN = SERVER_LIFETIME / 3
/** SHA-256 signatures by an RSA key of this size are what every client understands that has no elliptic curves. */
const RSA_BITS = 2048

export interface OwnCertificatesOptions {
  readonly folder: string
  /** DNS names and IP addresses that the certificates must carry. */
  readonly names: readonly [string, ...string[]]
  readonly clock: Clock
  readonly random: Random
  /** Keeps the private keys. */
  readonly secrets: SecretFiles
}

type KeyKind = 'ec' | 'rsa'

/** Certificates that we make ourselves, kept in the folder until they are due: ECDSA, and RSA for clients without it. */
export async function ownMaterial(options: OwnCertificatesOptions): Promise<TlsMaterial> {
  const root = await openRoot(options)
  return [await presentPair('ec', root, options), await presentPair('rsa', root, options)]
}

/** The same with new keys and certificates, whether they are due or not; the root stays. */
export async function renewedMaterial(options: OwnCertificatesOptions): Promise<TlsMaterial> {
  const root = await openRoot(options)
  return [await freshPair('ec', root, options), await freshPair('rsa', root, options)]
}

/** Reads the private keys, so that they are sealed with the present data key. */
export function resealKeys({ folder, secrets }: Pick<OwnCertificatesOptions, 'folder' | 'secrets'>): void {
  for (const { key } of [rootFiles(folder), pairFiles('ec', folder), pairFiles('rsa', folder)]) secrets.read(key)
}

async function presentPair(kind: KeyKind, root: Issuer, options: OwnCertificatesOptions): Promise<TlsPair> {
  const files = pairFiles(kind, options.folder)
  const key = options.secrets.read(files.key)
  if (existsSync(files.certificate) && key !== null) {
    const pair = { certificates: readFileSync(files.certificate, 'utf8'), key }
    if (stillGood(pair, kind, root, options)) return pair
  }
  return freshPair(kind, root, options)
}

async function freshPair(kind: KeyKind, root: Issuer, options: OwnCertificatesOptions): Promise<TlsPair> {
  const files = pairFiles(kind, options.folder)
  const key = await freshKey(kind)
  const term = { now: options.clock.now(), lifetime: SERVER_LIFETIME }
  const der = await issueServer(root, { names: options.names, spki: spkiOf(key), term }, options.random)
  const pair = { certificates: encodePem('CERTIFICATE', der), key: pkcs8(key) }
  options.secrets.write(files.key, pair.key)
  writeWhole(files.certificate, pair.certificates, 0o644)
  return pair
}

/** Off the event loop: an RSA key takes a tenth of a second and more. */
async function freshKey(kind: KeyKind): Promise<KeyObject> {
  if (kind === 'ec') return generateKey('p256')
  return (await promisify(generateKeyPair)('rsa', { modulusLength: RSA_BITS })).privateKey
}

function stillGood(
  { certificates, key }: TlsPair,
  kind: KeyKind,
  root: Issuer,
  { names, clock }: OwnCertificatesOptions,
): boolean {
  const [leaf] = parseCertificates(certificates)
  if (!leaf) return false
  const present = new Set(
    (leaf.extensions.subjectAltName ?? []).map((name) => ('value' in name ? String(name.value).toLowerCase() : '')),
  )
  return (
    leaf.notAfter - clock.now() > RENEWAL_MARGIN &&
    new X509Certificate(leaf.der).verify(new X509Certificate(root.certificate.der).publicKey) &&
    createPrivateKey(key).asymmetricKeyType === kind &&
    Buffer.from(leaf.spki).equals(spkiOf(createPrivateKey(key))) &&
    names.every((name) => present.has(name.toLowerCase()) || covers(leaf, name))
  )
}

/** The root that signs the server certificates of this data folder, made at the first start. */
async function openRoot({ folder, clock, random, secrets }: OwnCertificatesOptions): Promise<Issuer> {
  const files = rootFiles(folder)
  const known = secrets.read(files.key)
  if (known !== null) {
    const certificate = parseChain(readText(files.certificate, 'the server root'), files.certificate)[0]
    return issuerOf(certificate, keySigner(parseKey(known, files.key, undefined)))
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
  secrets.write(files.key, pkcs8(key))
  return issuerOf(parseCertificate(der), keySigner(key))
}

export function rootFiles(folder: string) {
  return { certificate: join(folder, 'server-root.cer'), key: join(folder, 'server-root.key.pem') }
}

function pairFiles(kind: KeyKind, folder: string) {
  const name = kind === 'ec' ? 'server' : `server-${kind}`
  return { certificate: join(folder, `${name}.cer`), key: join(folder, `${name}.key.pem`) }
}
