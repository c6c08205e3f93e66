import { createPrivateKey, randomBytes, type KeyObject } from 'node:crypto'
import {
  CA_KEY_ITERATIONS,
  encodePem,
  encryptPrivateKey,
  KEY_TYPES,
  stretchPassphrase,
  type KeyType,
} from '@holdfast/pki'
import { Option } from 'commander'
import { CommandError } from '../command-error.ts'
import { knownPassphrase } from './passphrase.ts'

export interface KeyOption {
  readonly key: KeyType
}

export function keyOption(): Option {
  return new Option('--key <type>', 'kind of key').choices(KEY_TYPES).default('p256')
}

/** PKCS#8 as PEM, encrypted when there is a passphrase. */
export function encodePrivateKey(key: KeyObject, passphrase: string | undefined): string {
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' })
  if (passphrase === undefined) return encodePem('PRIVATE KEY', pkcs8)
  const stretched = stretchPassphrase(passphrase, CA_KEY_ITERATIONS, randomBytes)
  return encodePem('ENCRYPTED PRIVATE KEY', encryptPrivateKey(pkcs8, stretched, randomBytes))
}

export interface PassphraseSource {
  readonly file: string | undefined
  /** The option that gives the file, for the message. */
  readonly flag: string
}

/** Any private key that OpenSSL reads (PEM or DER; PKCS#8, PKCS#1, SEC 1); the passphrase is asked for only if needed. */
export async function decodePrivateKey(bytes: Buffer, path: string, source: PassphraseSource): Promise<KeyObject> {
  const pem = bytes.includes('-----BEGIN ')
  const text = bytes.toString('latin1')
  const encrypted =
    pem && (text.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----') || text.includes('Proc-Type: 4,ENCRYPTED'))
  if (!encrypted) return decode(() => (pem ? createPrivateKey(bytes) : decodeDer(bytes)), path)
  const passphrase = await knownPassphrase(source.file, `'${path}'`, source.flag)
  return decode(() => createPrivateKey({ key: bytes, passphrase }), path, 'the passphrase does not fit, or ')
}

function decodeDer(bytes: Buffer): KeyObject {
  return createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' })
}

function decode(read: () => KeyObject, path: string, orElse = ''): KeyObject {
  try {
    return read()
  } catch (cause) {
    throw new CommandError(`'${path}' cannot be used: ${orElse}it holds no private key that can be read`, 1, { cause })
  }
}
