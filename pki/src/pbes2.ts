import { createCipheriv, createSecretKey, pbkdf2Sync, type KeyObject } from 'node:crypto'
import { integer, nullValue, octetString, oid, sequence } from './der-writer.ts'
import { EncryptionOid } from './oid.ts'

/** A source of randomness: `size` unpredictable bytes. */
export type Random = (size: number) => Uint8Array

/**
 * A passphrase stretched to an AES-256 key by PBKDF2-HMAC-SHA256 (RFC 8018 §5.2). The stretching is the slow part, so
 * one such key serves every file that is written under the same passphrase in one run: each encryption draws its own
 * IV, and an attacker who finds the passphrase of one file has found that of all of them, shared salt or not.
 */
export interface StretchedPassphrase {
  readonly key: KeyObject
  readonly salt: Uint8Array
  readonly iterations: number
}

/** OWASP's figure for PBKDF2-HMAC-SHA256 (2023); for what a person at a workstation opens, such as a CA's key. */
export const CA_KEY_ITERATIONS = 600_000

/**
 * For what a device opens at every start: a single-board computer without SHA instructions needs about a second for
 * each of the two encrypted parts of a `.pfx`.
 */
export const DEVICE_KEY_ITERATIONS = 100_000

export function stretchPassphrase(passphrase: string, iterations: number, random: Random): StretchedPassphrase {
  const salt = random(16)
  const key = createSecretKey(pbkdf2Sync(Buffer.from(passphrase, 'utf8'), salt, iterations, 32, 'sha256'))
  return { key, salt, iterations }
}

/** PBES2 (RFC 8018 §6.2) with AES-256-CBC: the AlgorithmIdentifier (DER) and the ciphertext. */
export function pbes2Encrypt(
  plaintext: Uint8Array,
  { key, salt, iterations }: StretchedPassphrase,
  random: Random,
): { algorithm: Buffer; ciphertext: Buffer } {
  const iv = random(16)
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  const prf = sequence(oid(EncryptionOid.hmacWithSha256), nullValue())
  const derivation = sequence(oid(EncryptionOid.pbkdf2), sequence(octetString(salt), integer(iterations), prf))
  const encryption = sequence(oid(EncryptionOid.aes256Cbc), octetString(iv))
  return { algorithm: sequence(oid(EncryptionOid.pbes2), sequence(derivation, encryption)), ciphertext }
}

/** EncryptedPrivateKeyInfo (RFC 5958 §3), DER, of a PKCS#8 key: the same bytes in a PEM file and in a `.pfx`. */
export function encryptPrivateKey(pkcs8: Uint8Array, passphrase: StretchedPassphrase, random: Random): Buffer {
  const { algorithm, ciphertext } = pbes2Encrypt(pkcs8, passphrase, random)
  return sequence(algorithm, octetString(ciphertext))
}
