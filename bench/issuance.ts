import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  generateKey,
  issueDevice,
  issueIntermediate,
  issuerOf,
  issueRoot,
  keySigner,
  parseCertificate,
  spkiOf,
} from '@holdfast/pki'
import { createCaFolder, openCaFolder } from '../cli/src/pki/ca-folder.ts'
import { protectKeys } from '../cli/src/pki/device-files.ts'
import { makeDevices } from '../cli/src/pki/device.ts'

export interface IssuanceMarks {
  /** P-256 certificates per second, each for a new key, in memory. */
  readonly certificates: number
  /** Devices per second as `holdfast pki device --count` makes them: key, certificate, chain and .pfx on disk. */
  readonly devices: number
  /** The same with the keys encrypted under a passphrase, its stretching included. */
  readonly encryptedDevices: number
}

const DAY = 24 * 60 * 60 * 1000
const COUNT = 2000

/** Measures in a temporary folder of `parent`, under an intermediate CA; everything runs on one core. */
export async function measureIssuance(parent = tmpdir()): Promise<IssuanceMarks> {
  const folder = mkdtempSync(join(parent, 'holdfast-bench-'))
  try {
    await makeCa(join(folder, 'ca'))
    const ca = await openCaFolder(join(folder, 'ca'), undefined)
    const term = { now: Date.now(), lifetime: DAY }
    const bulk = async (out: string, passphrase: string | undefined): Promise<void> => {
      const ids = Array.from({ length: COUNT }, (_, index) => `${out}-${index}`)
      const protection = protectKeys(passphrase)
      const batch = { ca, ids, folder: ca.issued, key: 'p256', term, publication: {}, protection } as const
      for await (const made of makeDevices(batch)) if (made.id === '') throw new Error('a device without an id')
    }
    const inMemory = async (): Promise<void> => {
      for (let index = 0; index < COUNT; index += 1) {
        await issueDevice(ca.issuer, { id: `m-${index}`, spki: spkiOf(generateKey('p256')), term }, randomBytes)
      }
    }
    await inMemory()
    return {
      certificates: await rate(inMemory),
      devices: await rate(() => bulk('plain', undefined)),
      encryptedDevices: await rate(() => bulk('encrypted', 'correct horse battery staple')),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function rate(work: () => Promise<void>): Promise<number> {
  const started = performance.now()
  await work()
  return (COUNT / (performance.now() - started)) * 1000
}

async function makeCa(path: string): Promise<void> {
  const term = { now: Date.now(), lifetime: DAY }
  const root = keySigner(generateKey('p256'))
  const rootCertificate = parseCertificate(
    await issueRoot(root, { subject: { commonName: 'Bench Root' }, term }, randomBytes),
  )
  const privateKey = generateKey('p256')
  const profile = { subject: { commonName: 'Bench CA' }, spki: spkiOf(privateKey), term }
  const certificate = parseCertificate(await issueIntermediate(issuerOf(rootCertificate, root), profile, randomBytes))
  createCaFolder(path, { certificate, above: [rootCertificate], privateKey, passphrase: undefined })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const marks = await measureIssuance()
  for (const [name, perSecond] of Object.entries(marks)) console.log(`${name.padEnd(28)} ${perSecond.toFixed(0)}/s`)
}
