import { randomBytes, type KeyObject } from 'node:crypto'
import {
  AnchorSet,
  generateKey,
  issueDevice,
  issueIntermediate,
  issueRoot,
  issuerOf,
  keySigner,
  parseCertificate,
  PathVerifier,
  spkiOf,
  type Certificate,
  type KeyType,
} from '@holdfast/pki'
import type { SealRequest, VerifyRequest } from '@holdfast/seal'

export const NOW = Date.UTC(2026, 10, 24)
export const DAY = 86_400_000

export interface Made {
  readonly certificate: Certificate
  readonly key: KeyObject
}

const term = { now: NOW - DAY, lifetime: 90 * DAY }
const issuer = ({ certificate, key }: Made) => issuerOf(certificate, keySigner(key))

export async function makeRoot(commonName = 'Plant Root', type: KeyType = 'p256'): Promise<Made> {
  const key = generateKey(type)
  const der = await issueRoot(keySigner(key), { subject: { commonName }, term }, randomBytes)
  return { certificate: parseCertificate(der), key }
}

async function makeIntermediate(parent: Made, commonName = 'Line 7'): Promise<Made> {
  const key = generateKey('p256')
  const holder = { subject: { commonName }, spki: spkiOf(key), term }
  return { certificate: parseCertificate(await issueIntermediate(issuer(parent), holder, randomBytes)), key }
}

export async function makeDevice(parent: Made, id: string, type: KeyType = 'p256'): Promise<Made> {
  const key = generateKey(type)
  const der = await issueDevice(issuer(parent), { id, spki: spkiOf(key), term }, randomBytes)
  return { certificate: parseCertificate(der), key }
}

/** A device behind a root and an intermediate, and how its messages are made and verified. */
export async function makePlant(id = 'pump-17', type: KeyType = 'p256') {
  const root = await makeRoot()
  const line = await makeIntermediate(root)
  const device = await makeDevice(line, id, type)
  const request: Omit<SealRequest, 'payload'> = {
    device: id,
    counter: 1,
    time: NOW,
    contentType: 'application/json',
    chain: [device.certificate, line.certificate],
    signer: keySigner(device.key),
  }
  const verification: VerifyRequest = {
    trust: { kind: 'authorities', anchors: new AnchorSet([root.certificate]) },
    verifier: new PathVerifier({ cacheSize: 64 }),
    now: NOW + 1000,
  }
  return { root, line, device, request, verification }
}
