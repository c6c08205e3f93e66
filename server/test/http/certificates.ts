import { randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import {
  encodePem,
  generateKey,
  issueDevice,
  issueIntermediate,
  issueRoot,
  issuerOf,
  issueServer,
  issueVerification,
  keySigner,
  parseCertificate,
  spkiOf,
} from '@holdfast/pki'

const DAY_MS = 24 * 60 * 60 * 1000
const random = (size: number) => randomBytes(size)
const term = (now = Date.now()) => ({ now, lifetime: 30 * DAY_MS })

export interface TestAuthority {
  readonly der: Buffer
  readonly pem: string
  readonly key: KeyObject
}

export interface TestIdentity {
  readonly der: Buffer
  readonly cert: string
  readonly key: string
}

/** `now` is when it was made: it lasts for thirty days from then. What is issued under it has keys of its type. */
export async function makeRoot(
  commonName: string,
  now = Date.now(),
  keyType: 'p256' | 'ml-dsa-65' = 'p256',
): Promise<TestAuthority> {
  const key = generateKey(keyType)
  const der = await issueRoot(keySigner(key), { subject: { commonName }, term: term(now) }, random)
  return { der, pem: encodePem('CERTIFICATE', der), key }
}

export async function makeIntermediate(parent: TestAuthority, commonName: string): Promise<TestAuthority> {
  const key = keyLike(parent)
  const profile = { subject: { commonName }, spki: spkiOf(key), term: term() }
  const der = await issueIntermediate(issuer(parent), profile, random)
  return { der, pem: encodePem('CERTIFICATE', der), key }
}

/** `cert` holds the leaf and then `chain`, as a device sends it. */
export async function makeDevice(
  parent: TestAuthority,
  id: string,
  chain: readonly TestAuthority[] = [],
  lifetime = 30 * DAY_MS,
): Promise<TestIdentity> {
  const key = keyLike(parent)
  const profile = { id, spki: spkiOf(key), term: { now: Date.now(), lifetime } }
  const der = await issueDevice(issuer(parent), profile, random)
  return identity(der, key, chain)
}

export async function makeServer(parent: TestAuthority, names: readonly [string, ...string[]]): Promise<TestIdentity> {
  const key = generateKey('p256')
  return identity(await issueServer(issuer(parent), { names, spki: spkiOf(key), term: term() }, random), key, [])
}

/** The certificate that answers a verification code. */
export async function makeProof(parent: TestAuthority, code: string): Promise<Buffer> {
  return issueVerification(issuer(parent), { code, spki: spkiOf(generateKey('p256')), term: term() }, random)
}

function keyLike({ key }: TestAuthority): KeyObject {
  return generateKey(key.asymmetricKeyType === 'ml-dsa-65' ? 'ml-dsa-65' : 'p256')
}

function issuer({ der, key }: TestAuthority) {
  return issuerOf(parseCertificate(der), keySigner(key))
}

function identity(der: Buffer, key: KeyObject, chain: readonly TestAuthority[]): TestIdentity {
  const cert = [encodePem('CERTIFICATE', der), ...chain.map(({ pem }) => pem)].join('')
  return { der, cert, key: key.export({ type: 'pkcs8', format: 'pem' }) }
}
