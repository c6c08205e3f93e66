import { createDecipheriv, pbkdf2Sync } from 'node:crypto'
import { Tag, type DerReader, type DerValue } from './der.ts'
import { EncryptionOid } from './oid.ts'
import { ParseError } from './parse-error.ts'

/** A file names its own cost. Three times OWASP's figure takes under a second; beyond lies denial of service. */
const MAX_ITERATIONS = 2_000_000

/** Why a protected file could not be opened, though it is well formed. */
export class ProtectionError extends Error {
  override readonly name = 'ProtectionError'
  readonly code: 'wrong-passphrase' | 'unsupported-protection'

  constructor(code: ProtectionError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

const PRF_HASH = new Map([
  [EncryptionOid.hmacWithSha1 as string, 'sha1'],
  [EncryptionOid.hmacWithSha256, 'sha256'],
  [EncryptionOid.hmacWithSha384, 'sha384'],
  [EncryptionOid.hmacWithSha512, 'sha512'],
])

const CIPHERS = new Map([
  [EncryptionOid.aes128Cbc as string, { name: 'aes-128-cbc', keyBytes: 16 }],
  [EncryptionOid.aes192Cbc, { name: 'aes-192-cbc', keyBytes: 24 }],
  [EncryptionOid.aes256Cbc, { name: 'aes-256-cbc', keyBytes: 32 }],
])

/**
 * Undoes PBES2 (RFC 8018 §6.2). `algorithm` is the AlgorithmIdentifier. Throws ParseError for malformed parameters,
 * ProtectionError for another scheme or a passphrase that does not fit.
 */
export function pbes2Decrypt(algorithm: DerValue, ciphertext: Uint8Array, passphrase: string): Buffer {
  const fields = algorithm.reader()
  const scheme = fields.read(Tag.oid).oid()
  if (scheme !== EncryptionOid.pbes2) throw unsupported(`the encryption ${scheme}`)
  const parameters = fields.readSequence()
  fields.finish()
  const derivation = readPbkdf2(parameters.readSequence())
  const encryption = parameters.readSequence()
  parameters.finish()
  const cipherId = encryption.read(Tag.oid).oid()
  const iv = encryption.read(Tag.octetString).content
  encryption.finish()
  const cipher = CIPHERS.get(cipherId)
  if (cipher === undefined) throw unsupported(`the cipher ${cipherId}`)
  if (iv.length !== 16) throw new ParseError('the IV of AES is 16 octets', algorithm.start)
  const { salt, iterations, hash } = derivation
  const key = pbkdf2Sync(Buffer.from(passphrase, 'utf8'), salt, iterations, cipher.keyBytes, hash)
  const decipher = createDecipheriv(cipher.name, key, iv)
  try {
    return Buffer.concat([decipher.update(ciphertext), decipher.final()])
  } catch (cause) {
    throw new ProtectionError('wrong-passphrase', 'The passphrase does not fit.', { cause })
  }
}

function readPbkdf2(derivation: DerReader): { salt: Buffer; iterations: number; hash: string } {
  const kdf = derivation.read(Tag.oid).oid()
  if (kdf !== EncryptionOid.pbkdf2) throw unsupported(`the key derivation ${kdf}`)
  const parameters = derivation.readSequence()
  derivation.finish()
  const salt = parameters.read(Tag.octetString).content
  const iterations = readIterations(parameters)
  // keyLength: the cipher decides.
  parameters.readOptional(Tag.integer)
  const prf = parameters.readOptional(Tag.sequence)?.reader().read(Tag.oid).oid() ?? EncryptionOid.hmacWithSha1
  parameters.finish()
  const hash = PRF_HASH.get(prf)
  if (hash === undefined) throw unsupported(`the pseudo-random function ${prf}`)
  return { salt, iterations, hash }
}

export function readIterations(fields: DerReader): number {
  const value = fields.read(Tag.integer)
  const iterations = value.smallInteger()
  if (iterations < 1 || iterations > MAX_ITERATIONS) value.fail(`iterations not within 1 to ${MAX_ITERATIONS}`)
  return iterations
}

export function unsupported(what: string): ProtectionError {
  return new ProtectionError('unsupported-protection', `The file is protected by ${what}, which is not supported.`)
}
