import type { KeyObject } from 'node:crypto'
import { sign } from 'node:crypto'
import {
  bitString,
  booleanTrue,
  explicit,
  integer,
  nullValue,
  octetString,
  oid,
  sequence,
  setOf,
  time,
  utf8String,
} from '../src/der-writer.ts'
import type { Certificate } from '../src/index.ts'
import { AttributeOid, ExtensionOid, generateKey, KeyUsageBit, parseCertificate, spkiOf } from '../src/index.ts'
import type { KeyUsage } from '../src/index.ts'
import { namedBits } from '../src/der-writer.ts'

/** Makes certificates that no honest CA would: every field is the caller's to get wrong. */

export const NOW = Date.UTC(2026, 0, 1)
export const DAY = 86_400_000

export const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'))

export interface Entity {
  readonly name: Uint8Array
  readonly key: KeyObject
  readonly certificate: Certificate
}

export interface Wishes {
  readonly subject?: string | Uint8Array
  readonly key?: KeyObject
  /** Absent: self-signed. */
  readonly issuer?: Entity
  /** Sign with this key while naming `issuer`. */
  readonly signedBy?: Parameters<typeof sign>[2]
  readonly issuerName?: Uint8Array
  readonly version?: 1 | 3
  readonly serial?: Uint8Array | number
  readonly notBefore?: number
  readonly notAfter?: number
  readonly extensions?: readonly Uint8Array[]
  /** AlgorithmIdentifier, and digest to sign with; `outerAlgorithm` differs only to be wrong. */
  readonly algorithm?: Uint8Array
  readonly outerAlgorithm?: Uint8Array
  readonly digest?: string | null
  readonly spki?: Uint8Array
}

let serials = 1

export function name(...commonNames: readonly string[]): Uint8Array {
  return sequence(...commonNames.map((cn) => setOf(sequence(oid(AttributeOid.CN), utf8String(cn)))))
}

export function forge(wishes: Wishes): Entity {
  const key = wishes.key ?? generateKey('p256')
  const subject = typeof wishes.subject === 'string' ? name(wishes.subject) : (wishes.subject ?? name('somebody'))
  const { issuer, algorithm = ECDSA_SHA256, digest = 'sha256' } = wishes
  const tbs = sequence(
    ...(wishes.version === 1 ? [] : [explicit(0, integer(2))]),
    integer(wishes.serial ?? serials++),
    algorithm,
    wishes.issuerName ?? issuer?.name ?? subject,
    sequence(time(wishes.notBefore ?? NOW - DAY), time(wishes.notAfter ?? NOW + 365 * DAY)),
    subject,
    wishes.spki ?? spkiOf(key),
    ...(wishes.version === 1 ? [] : [explicit(3, sequence(...(wishes.extensions ?? leafExtensions())))]),
  )
  const signature = sign(digest, tbs, wishes.signedBy ?? issuer?.key ?? key)
  const der = sequence(tbs, wishes.outerAlgorithm ?? algorithm, bitString(signature))
  return { name: subject, key, certificate: parseCertificate(der) }
}

export function extension(id: string, value: Uint8Array, critical = false): Uint8Array {
  return sequence(oid(id), ...(critical ? [booleanTrue()] : []), octetString(value))
}

export function basicConstraints(ca: boolean, pathLength?: number, critical = true): Uint8Array {
  const limit = pathLength === undefined ? [] : [integer(pathLength)]
  return extension(ExtensionOid.basicConstraints, sequence(...(ca ? [booleanTrue()] : []), ...limit), critical)
}

export function keyUsage(...usages: readonly KeyUsage[]): Uint8Array {
  return extension(ExtensionOid.keyUsage, namedBits(...usages.map((usage) => KeyUsageBit[usage])), true)
}

export function extendedKeyUsage(...purposes: readonly string[]): Uint8Array {
  return extension(ExtensionOid.extKeyUsage, sequence(...purposes.map(oid)))
}

export function caExtensions(pathLength?: number): Uint8Array[] {
  return [basicConstraints(true, pathLength), keyUsage('keyCertSign', 'cRLSign')]
}

export function leafExtensions(): Uint8Array[] {
  return [keyUsage('digitalSignature')]
}

export function forgeCa(subject: string, wishes: Wishes & { readonly pathLength?: number } = {}): Entity {
  return forge({ subject, extensions: caExtensions(wishes.pathLength), ...wishes })
}

export const SHA1_WITH_RSA = sequence(oid('1.2.840.113549.1.1.5'), nullValue())
export const SHA256_WITH_RSA = sequence(oid('1.2.840.113549.1.1.11'), nullValue())
