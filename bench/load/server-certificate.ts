import { randomBytes } from 'node:crypto'
import {
  encodePem,
  generateKey,
  issueRoot,
  issueServer,
  issuerOf,
  keySigner,
  parseCertificate,
  spkiOf,
} from '@holdfast/pki'

const DAY = 24 * 60 * 60 * 1000

/** A certificate for localhost, PEM, for the servers that Holdfast is measured beside. */
export async function makeServerCertificate(): Promise<{ ca: string; certificate: string; key: string }> {
  const term = { now: Date.now(), lifetime: DAY }
  const rootKey = generateKey('p256')
  const root = await issueRoot(keySigner(rootKey), { subject: { commonName: 'Bench Server Root' }, term }, randomBytes)
  const key = generateKey('p256')
  const issuer = issuerOf(parseCertificate(root), keySigner(rootKey))
  const der = await issueServer(issuer, { names: ['localhost', '127.0.0.1'], spki: spkiOf(key), term }, randomBytes)
  return {
    ca: encodePem('CERTIFICATE', root),
    certificate: encodePem('CERTIFICATE', der),
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
}
