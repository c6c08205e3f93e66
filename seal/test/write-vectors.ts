import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { randomBytes, type KeyObject } from 'node:crypto'
import { generateKey, issueDevice, issueRoot, issuerOf, keySigner, parseCertificate, spkiOf } from '@holdfast/pki'
import { algorithmById, derSignature } from '../src/algorithms.ts'
import type { Inputs } from './vectors.ts'
import {
  bytesOf,
  hex,
  makeVectors,
  PAGE_FILE,
  readVectors,
  renderVectors,
  SEALED_AT,
  VECTORS_FILE,
  withVectors,
} from './vectors.ts'

/** Writes the test vectors and the part of the format page that shows them. Keys, certificates and signatures stay. */
async function write(): Promise<void> {
  const before = existsSync(VECTORS_FILE) ? readVectors() : null
  const inputs = before?.inputs ?? (await newInputs())
  const signatures = new Map(
    (before?.vectors ?? []).map(({ name, signature }) => {
      const algorithm = algorithmById(name.includes('ES256') ? -7 : -8)
      return [name, (algorithm && derSignature(bytesOf(signature), algorithm)) ?? new Uint8Array()] as const
    }),
  )
  const vectors = await makeVectors(inputs, signatures)
  writeFileSync(VECTORS_FILE, `${JSON.stringify({ inputs, vectors }, null, 2)}\n`)
  writeFileSync(PAGE_FILE, withVectors(readFileSync(PAGE_FILE, 'utf8'), renderVectors({ inputs, vectors })))
}

async function newInputs(): Promise<Inputs> {
  const day = 86_400_000
  const term = { now: SEALED_AT - day, lifetime: 30 * day }
  const root = generateKey('p256')
  const rootDer = await issueRoot(keySigner(root), { subject: { commonName: 'Vector Root' }, term }, randomBytes)
  const issuer = issuerOf(parseCertificate(rootDer), keySigner(root))
  const certificateOf = (key: KeyObject) => issueDevice(issuer, { id: 'pump-17', spki: spkiOf(key), term }, randomBytes)
  const [device, deviceEd25519] = [generateKey('p256'), generateKey('ed25519')]
  return {
    keys: {
      device: pkcs8(device),
      deviceEd25519: pkcs8(deviceEd25519),
      consumer: pkcs8(generateKey('p256')),
      ephemeral: pkcs8(generateKey('p256')),
    },
    certificates: {
      root: hex(rootDer),
      device: hex(await certificateOf(device)),
      deviceEd25519: hex(await certificateOf(deviceEd25519)),
    },
    iv: hex(randomBytes(12)),
  }
}

function pkcs8(key: KeyObject): string {
  return hex(key.export({ format: 'der', type: 'pkcs8' }))
}

await write()
