import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import {
  encodePem,
  encryptPrivateKey,
  protectPkcs12,
  writePkcs12,
  type Certificate,
  type Pkcs12Protection,
} from '@holdfast/pki'
import { pemOf } from './ca-folder.ts'
import { writeTogether } from './files.ts'

/** The files of one device, named by its id. */
export interface DeviceFiles {
  readonly key: string
  readonly certificate: string
  readonly chain: string
  readonly pfx: string
}

export function deviceFiles(folder: string, id: string): DeviceFiles {
  return {
    key: join(folder, `${id}.key.pem`),
    certificate: join(folder, `${id}.cer`),
    chain: join(folder, `${id}.chain.pem`),
    pfx: join(folder, `${id}.pfx`),
  }
}

/** How the private keys of a run are protected; the passphrase is stretched once for all of them. */
export interface KeyProtection {
  readonly pkcs12: Pkcs12Protection
  /** Whether the key in PEM is encrypted too; a `.pfx` always is, if only under the empty passphrase. */
  readonly encrypted: boolean
}

/** Stretching serves to slow down guessing, and the empty passphrase needs no guess: RFC 8018 §4.2 asks for 1000. */
const UNPROTECTED_ITERATIONS = 1000

export function protectKeys(passphrase: string | undefined): KeyProtection {
  if (passphrase !== undefined) return { pkcs12: protectPkcs12(passphrase, randomBytes), encrypted: true }
  return { pkcs12: protectPkcs12('', randomBytes, UNPROTECTED_ITERATIONS), encrypted: false }
}

export interface DeviceIdentity {
  readonly id: string
  /** PKCS#8, DER. */
  readonly privateKey: Uint8Array
  readonly certificate: Certificate
  readonly intermediates: readonly Certificate[]
}

export function writeDeviceFiles(files: DeviceFiles, device: DeviceIdentity, protection: KeyProtection): void {
  const { id, privateKey, certificate, intermediates } = device
  const encryptedKey = encryptPrivateKey(privateKey, protection.pkcs12.bags, randomBytes)
  const pfx = writePkcs12(
    { encryptedKey, certificates: [certificate.der, ...intermediates.map(({ der }) => der)], friendlyName: id },
    protection.pkcs12,
    randomBytes,
  )
  const keyPem = protection.encrypted
    ? encodePem('ENCRYPTED PRIVATE KEY', encryptedKey)
    : encodePem('PRIVATE KEY', privateKey)
  // A device's key can be made again, so its files need not be forced to disk one by one.
  writeTogether([
    { path: files.key, content: keyPem, secret: true },
    { path: files.certificate, content: pemOf([certificate]), secret: false },
    { path: files.chain, content: pemOf([certificate, ...intermediates]), secret: false },
    { path: files.pfx, content: pfx, secret: true },
  ])
}
