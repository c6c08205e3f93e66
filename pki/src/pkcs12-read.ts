import { createHmac, timingSafeEqual } from 'node:crypto'
import { contextConstructed, contextPrimitive, DerReader, Tag, type DerValue } from './der.ts'
import { DigestOid, Pkcs12Oid } from './oid.ts'
import { ParseError } from './parse-error.ts'
import { pbes2Decrypt, ProtectionError, readIterations, unsupported } from './pbes2-read.ts'
import { macKey, type MacHash } from './pkcs12.ts'

/** A key and a chain of ten large certificates take under 100 kB. */
const MAX_PFX_BYTES = 1024 * 1024

/** A key, a chain of ten and some strangers; each encrypted part costs its own stretching. */
const MAX_BAGS = 32

/** What lies in a `.pfx`: the private key (PKCS#8, DER) and the certificates (DER) in the order of the file. */
export interface Pkcs12File {
  readonly privateKey: Buffer
  readonly certificates: readonly Buffer[]
}

/**
 * Opens a `.pfx` (RFC 7292) as OpenSSL 3, Java, Windows 10 and Holdfast write it: PBES2 and an HMAC. Throws ParseError
 * for a malformed file, ProtectionError for a wrong passphrase and for the broken protections of older software.
 */
export function readPkcs12(bytes: Uint8Array, passphrase: string): Pkcs12File {
  const file = DerReader.over(bytes, MAX_PFX_BYTES)
  const pfx = file.readSequence()
  file.finish()
  const version = pfx.read(Tag.integer)
  if (version.smallInteger() !== 3) version.fail('no such version of PKCS#12')
  const authenticatedSafe = readData(pfx.readSequence())
  const mac = pfx.readOptional(Tag.sequence)
  if (mac === undefined) throw unsupported('a signature or nothing at all instead of a passphrase')
  checkMac(mac.reader(), authenticatedSafe.content, passphrase)

  const keys: Buffer[] = []
  const certificates: Buffer[] = []
  const safes = authenticatedSafe.wrapped().readSequence()
  for (let parts = 0; !safes.atEnd;) {
    const bags = readSafe(safes.readSequence(), passphrase).readSequence()
    for (parts += 1; !bags.atEnd; parts += 1) {
      if (parts > MAX_BAGS) throw new ParseError(`more than ${MAX_BAGS} parts`, 0)
      readBag(bags.readSequence(), passphrase, { keys, certificates })
    }
  }
  const [privateKey, second] = keys
  if (privateKey === undefined || second !== undefined) {
    throw new ParseError(`one private key expected, ${keys.length} found`, 0)
  }
  return { privateKey, certificates }
}

/** The OCTET STRING inside a ContentInfo of type data. */
function readData(contentInfo: DerReader): DerValue {
  const type = contentInfo.read(Tag.oid).oid()
  if (type !== Pkcs12Oid.data) throw unsupported(`content of type ${type}`)
  const content = contentInfo.read(contextConstructed(0)).reader()
  contentInfo.finish()
  return content.read(Tag.octetString)
}

function readSafe(contentInfo: DerReader, passphrase: string): DerReader {
  const type = contentInfo.read(Tag.oid).oid()
  const content = contentInfo.read(contextConstructed(0)).reader()
  contentInfo.finish()
  if (type === Pkcs12Oid.data) return content.read(Tag.octetString).wrapped()
  if (type !== Pkcs12Oid.encryptedData) throw unsupported(`content of type ${type}`)
  const encryptedData = content.readSequence()
  encryptedData.read(Tag.integer)
  const encryptedContent = encryptedData.readSequence()
  encryptedContent.read(Tag.oid)
  const algorithm = encryptedContent.read(Tag.sequence)
  const ciphertext = encryptedContent.read(contextPrimitive(0)).content
  return DerReader.over(pbes2Decrypt(algorithm, ciphertext, passphrase))
}

function readBag(bag: DerReader, passphrase: string, into: { keys: Buffer[]; certificates: Buffer[] }): void {
  const type = bag.read(Tag.oid).oid()
  const value = bag.read(contextConstructed(0)).reader()
  switch (type) {
    case Pkcs12Oid.keyBag:
      into.keys.push(value.read(Tag.sequence).der)
      return
    case Pkcs12Oid.shroudedKeyBag: {
      const encrypted = value.readSequence()
      const algorithm = encrypted.read(Tag.sequence)
      into.keys.push(pbes2Decrypt(algorithm, encrypted.read(Tag.octetString).content, passphrase))
      return
    }
    case Pkcs12Oid.certificateBag: {
      const certificate = value.readSequence()
      if (certificate.read(Tag.oid).oid() !== Pkcs12Oid.x509Certificate) return
      into.certificates.push(certificate.read(contextConstructed(0)).reader().read(Tag.octetString).content)
      return
    }
    default:
    // CRLs, secrets and nested safes are nothing that an identity is made of.
  }
}

const MAC_HASH = new Map<string, MacHash>([
  [DigestOid.sha1, 'sha1'],
  [DigestOid.sha256, 'sha256'],
  [DigestOid.sha384, 'sha384'],
  [DigestOid.sha512, 'sha512'],
])

function checkMac(mac: DerReader, authenticatedSafe: Uint8Array, passphrase: string): void {
  const digestInfo = mac.readSequence()
  const digestId = digestInfo.readSequence().read(Tag.oid).oid()
  const digest = digestInfo.read(Tag.octetString).content
  const salt = mac.read(Tag.octetString).content
  const iterations = mac.atEnd ? 1 : readIterations(mac)
  const algorithm = MAC_HASH.get(digestId)
  if (algorithm === undefined) throw unsupported(`the integrity check ${digestId}`)
  const expected = createHmac(algorithm, macKey(algorithm, passphrase, salt, iterations))
    .update(authenticatedSafe)
    .digest()
  if (digest.length !== expected.length || !timingSafeEqual(digest, expected)) {
    throw new ProtectionError('wrong-passphrase', 'The passphrase does not fit, or the file was altered.')
  }
}
