import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto'
import { bmpString, explicit, implicit, integer, nullValue, octetString, oid, sequence, setOf } from './der-writer.ts'
import { DigestOid, Pkcs12Oid } from './oid.ts'
import {
  DEVICE_KEY_ITERATIONS,
  pbes2Encrypt,
  stretchPassphrase,
  type Random,
  type StretchedPassphrase,
} from './pbes2.ts'

/**
 * Everything of a `.pfx` (PKCS#12, RFC 7292) that depends on the passphrase alone. Made once and used for every file of
 * a run, so that bulk issuance pays for the stretching once; see `StretchedPassphrase` for why that gives nothing away.
 */
export interface Pkcs12Protection {
  readonly bags: StretchedPassphrase
  readonly mac: { readonly key: KeyObject; readonly salt: Uint8Array; readonly iterations: number }
}

/** The integrity check can be used to try passphrases just as the encryption can, so it is stretched as much. */
export function protectPkcs12(
  passphrase: string,
  random: Random,
  iterations: number = DEVICE_KEY_ITERATIONS,
): Pkcs12Protection {
  const salt = random(16)
  return {
    bags: stretchPassphrase(passphrase, iterations, random),
    mac: { key: macKey('sha256', passphrase, salt, iterations), salt, iterations },
  }
}

export interface Pkcs12Contents {
  /** From `encryptPrivateKey`, under the passphrase of the protection. */
  readonly encryptedKey: Uint8Array
  /** DER, the certificate of the key first. */
  readonly certificates: readonly [Uint8Array, ...Uint8Array[]]
  /** What a key store shows to people. */
  readonly friendlyName: string
}

/**
 * A `.pfx` with PBES2 (PBKDF2-HMAC-SHA256, AES-256-CBC) around the certificates and the key, and an HMAC-SHA256 over
 * both: what OpenSSL 3, Node, Java 8u301 and Windows 10 1709 read.
 */
export function writePkcs12(contents: Pkcs12Contents, protection: Pkcs12Protection, random: Random): Buffer {
  const { encryptedKey, certificates, friendlyName } = contents
  // The same localKeyId on the key and on its certificate ties the two together (RFC 2985 §5.5.2).
  const tie = setOf(
    sequence(oid(Pkcs12Oid.localKeyId), setOf(octetString(hash('sha256', certificates[0], 'buffer')))),
    sequence(oid(Pkcs12Oid.friendlyName), setOf(bmpString(friendlyName))),
  )
  const keyBag = sequence(oid(Pkcs12Oid.shroudedKeyBag), explicit(0, encryptedKey), tie)
  const certificateBags = certificates.map((certificate, index) =>
    index === 0 ? certificateBag(certificate, tie) : certificateBag(certificate),
  )
  const authenticatedSafe = sequence(
    encryptedData(sequence(...certificateBags), protection.bags, random),
    data(sequence(keyBag)),
  )
  return sequence(integer(3), data(authenticatedSafe), macData(authenticatedSafe, protection.mac))
}

function certificateBag(certificate: Uint8Array, ...attributes: readonly Uint8Array[]): Buffer {
  const value = sequence(oid(Pkcs12Oid.x509Certificate), explicit(0, octetString(certificate)))
  return sequence(oid(Pkcs12Oid.certificateBag), explicit(0, value), ...attributes)
}

function data(content: Uint8Array): Buffer {
  return sequence(oid(Pkcs12Oid.data), explicit(0, octetString(content)))
}

function encryptedData(content: Uint8Array, passphrase: StretchedPassphrase, random: Random): Buffer {
  const { algorithm, ciphertext } = pbes2Encrypt(content, passphrase, random)
  const encryptedContent = sequence(oid(Pkcs12Oid.data), algorithm, implicit(0, ciphertext))
  return sequence(oid(Pkcs12Oid.encryptedData), explicit(0, sequence(integer(0), encryptedContent)))
}

function macData(authenticatedSafe: Uint8Array, { key, salt, iterations }: Pkcs12Protection['mac']): Buffer {
  const digest = createHmac('sha256', key).update(authenticatedSafe).digest()
  const digestInfo = sequence(sequence(oid(DigestOid.sha256), nullValue()), octetString(digest))
  return sequence(digestInfo, octetString(salt), integer(iterations))
}

/** Hashes that occur in the integrity check of a `.pfx`, each with its block size in bytes. */
const MAC_HASHES = { sha1: 64, sha256: 64, sha384: 128, sha512: 128 } as const
export type MacHash = keyof typeof MAC_HASHES

/**
 * RFC 7292 §B.2 with ID 3. A MAC key is as long as the hash, so one round of step 6 gives all of it and the adjustment
 * of I between rounds never happens.
 */
export function macKey(algorithm: MacHash, passphrase: string, salt: Uint8Array, iterations: number): KeyObject {
  const block = MAC_HASHES[algorithm]
  const password = Buffer.from(`${passphrase}\0`, 'utf16le').swap16()
  let digest = Buffer.concat([Buffer.alloc(block, 3), repeatToBlocks(salt, block), repeatToBlocks(password, block)])
  for (let round = 0; round < iterations; round += 1) digest = hash(algorithm, digest, 'buffer')
  return createSecretKey(digest)
}

function repeatToBlocks(bytes: Uint8Array, block: number): Buffer {
  return Buffer.alloc(Math.ceil(bytes.length / block) * block, bytes)
}
