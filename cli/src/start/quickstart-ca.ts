import { randomBytes } from 'node:crypto'
import {
  generateKey,
  issueDevice,
  issueIntermediate,
  issueRoot,
  issueVerification,
  keySigner,
  parseCertificate,
  spkiOf,
} from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { inherited, NO_ADDRESSES, publicationOf } from '../pki/addresses.ts'
import { createCaFolder, intermediatesOf, openCaFolder, recordIssued } from '../pki/ca-folder.ts'
import type { CaFolder } from '../pki/ca-folder.ts'
import { deviceFiles, protectKeys, writeDeviceFiles } from '../pki/device-files.ts'
import type { DeviceFiles } from '../pki/device-files.ts'
import { makeFolder } from '../pki/files.ts'

const DAY = 24 * 60 * 60 * 1000
/** For development: long enough for a project, short enough not to outlive it unnoticed. */
const ROOT_LIFETIME = 2 * 365 * DAY
const INTERMEDIATE_LIFETIME = 365 * DAY
const DEVICE_LIFETIME = 90 * DAY

/** `crlUrl`: where the server publishes CRLs, as `holdfast pki addresses` has it; null when it does not. */
export async function makeRootCa(folder: string, crlUrl: string | null): Promise<CaFolder> {
  const privateKey = generateKey('p256')
  const profile = {
    // The name is unique, so that two quickstarts on one network can never be taken for one another.
    subject: {
      commonName: `Quickstart Root CA ${randomBytes(4).toString('hex')}`,
      organization: 'For development only',
    },
    term: { now: Date.now(), lifetime: ROOT_LIFETIME },
  }
  const certificate = parseCertificate(await issueRoot(keySigner(privateKey), profile, randomBytes))
  const addresses = { ...NO_ADDRESSES, crlUrl: crlUrl === null ? [] : [crlUrl] }
  createCaFolder(folder, { certificate, above: [], privateKey, passphrase: undefined, addresses })
  return openCaFolder(folder, undefined)
}

export async function makeIntermediateCa(folder: string, parent: CaFolder): Promise<CaFolder> {
  const privateKey = generateKey('p256')
  const profile = {
    subject: { commonName: 'Quickstart Line 1 CA', organization: 'For development only' },
    pathLength: 0,
    spki: spkiOf(privateKey),
    term: { now: Date.now(), lifetime: INTERMEDIATE_LIFETIME },
    publication: publicationOf(parent.addresses, parent.issuer.certificate),
  }
  const certificate = parseCertificate(await issueIntermediate(parent.issuer, profile, randomBytes))
  recordIssued(parent, 'intermediate', [certificate])
  const addresses = inherited(parent.addresses)
  createCaFolder(folder, { certificate, above: parent.chain, privateKey, passphrase: undefined, addresses })
  return openCaFolder(folder, undefined)
}

/** The answer to a verification code; its own key is thrown away, only the CA's signature counts. */
export async function provePossession(ca: CaFolder, code: string): Promise<Certificate> {
  const profile = { code, spki: spkiOf(generateKey('p256')), term: { now: Date.now(), lifetime: DAY } }
  const certificate = parseCertificate(await issueVerification(ca.issuer, profile, randomBytes))
  recordIssued(ca, 'verification', [certificate])
  return certificate
}

/** A device's `.cer`, `.pfx`, key and chain under `folder`; the `.pfx` opens with `passphrase`. */
export async function makeDevice(ca: CaFolder, id: string, folder: string, passphrase: string): Promise<DeviceFiles> {
  const privateKey = generateKey('p256')
  const publication = publicationOf(ca.addresses, ca.issuer.certificate)
  const profile = { id, spki: spkiOf(privateKey), term: { now: Date.now(), lifetime: DEVICE_LIFETIME }, publication }
  const certificate = parseCertificate(await issueDevice(ca.issuer, profile, randomBytes))
  const files = deviceFiles(folder, id)
  makeFolder(folder, 0o700)
  recordIssued(ca, 'device', [certificate])
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' })
  writeDeviceFiles(
    files,
    { id, privateKey: pkcs8, certificate, intermediates: intermediatesOf(ca) },
    protectKeys(passphrase),
  )
  return files
}
