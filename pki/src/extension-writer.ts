import { hash } from 'node:crypto'
import { DerReader } from './der.ts'
import {
  ascii,
  booleanTrue,
  enumerated,
  explicit,
  implicit,
  integer,
  namedBits,
  octetString,
  oid,
  sequence,
} from './der-writer.ts'
import { KeyUsageBit, type KeyUsage } from './extensions.ts'
import { ExtensionOid } from './oid.ts'

function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  return sequence(oid(id), ...(critical ? [booleanTrue()] : []), octetString(value))
}

/** RFC 5280 §4.2.1.9: critical in a CA certificate. `pathLength` absent: any number of CAs may follow. */
export function basicConstraintsCa(pathLength: number | undefined): Buffer {
  const limit = pathLength === undefined ? [] : [integer(pathLength)]
  return extension(ExtensionOid.basicConstraints, true, sequence(booleanTrue(), ...limit))
}

/** Says aloud that the holder is no CA: `cA` is FALSE by default, so DER leaves it out. */
export function basicConstraintsEndEntity(): Buffer {
  return extension(ExtensionOid.basicConstraints, true, sequence())
}

/** RFC 5280 §4.2.1.3: critical. */
export function keyUsage(...usages: readonly KeyUsage[]): Buffer {
  return extension(ExtensionOid.keyUsage, true, namedBits(...usages.map((usage) => KeyUsageBit[usage])))
}

export function extendedKeyUsage(...purposes: readonly string[]): Buffer {
  return extension(ExtensionOid.extKeyUsage, false, sequence(...purposes.map(oid)))
}

/** RFC 7093 §2 method 1: the leftmost 160 bits of the SHA-256 of the public key, where RFC 5280 would take SHA-1. */
export function keyIdentifier(spki: Uint8Array): Buffer {
  const info = DerReader.over(spki).readSequence()
  info.readSequence()
  return hash('sha256', info.readAny().octetsOfBitString(), 'buffer').subarray(0, 20)
}

export function subjectKeyIdentifier(identifier: Uint8Array): Buffer {
  return extension(ExtensionOid.subjectKeyIdentifier, false, octetString(identifier))
}

export function authorityKeyIdentifier(identifier: Uint8Array): Buffer {
  return extension(ExtensionOid.authorityKeyIdentifier, false, sequence(implicit(0, identifier)))
}

/** RFC 5280 §4.2.1.6: DNS names and IP addresses, told apart by their form. */
export function subjectAltName(names: readonly string[]): Buffer {
  return extension(ExtensionOid.subjectAltName, false, sequence(...names.map(generalName)))
}

const DNS_NAME = /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i

const IPV4 = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/

function generalName(name: string): Buffer {
  if (IPV4.test(name)) return implicit(7, Uint8Array.from(name.split('.').map(Number)))
  if (/^[0-9a-f:.]+$/i.test(name) && URL.canParse(`http://[${name}]/`)) return implicit(7, ipv6Bytes(name))
  // RFC 1123 §2.1: the last label of a host name is not all digits, or a mistyped address would pass for a name.
  if (name.length > 253 || !DNS_NAME.test(name) || /(^|\.)\d+$/.test(name)) {
    throw new RangeError(`"${name}" is no DNS name and no IP address`)
  }
  return implicit(2, ascii(name))
}

function ipv6Bytes(address: string): Uint8Array {
  // The URL parser normalises every legal spelling, an embedded IPv4 address included, to hexadecimal groups.
  const [left = '', right] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::')
  const head = ipv6Groups(left)
  const tail = ipv6Groups(right ?? '')
  const zeros = Array<number>(8 - head.length - tail.length).fill(0)
  return Uint8Array.from([...head, ...zeros, ...tail].flatMap((group) => [group >> 8, group & 0xff]))
}

function ipv6Groups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}

/**
 * One distribution point (RFC 5280 §4.2.1.13) whose names are ways to the same CRL: of CRLDistributionPoints, or of
 * FreshestCRL (§5.2.6).
 */
export function crlDistributionPoint(id: string, addresses: readonly string[]): Buffer {
  const fullName = explicit(0, ...addresses.map(uri))
  return extension(id, false, sequence(sequence(explicit(0, fullName))))
}

/** RFC 5280 §4.2.2.1. */
export function authorityInfoAccess(
  descriptions: readonly { readonly method: string; readonly address: string }[],
): Buffer {
  const list = descriptions.map(({ method, address }) => sequence(oid(method), uri(address)))
  return extension(ExtensionOid.authorityInfoAccess, false, sequence(...list))
}

function uri(address: string): Buffer {
  return implicit(6, ascii(address))
}

/** RFC 5280 §5.2.4: critical, so that nobody takes a delta for the whole list. */
export function deltaCrlIndicator(baseNumber: bigint): Buffer {
  return extension(ExtensionOid.deltaCrlIndicator, true, integer(baseNumber))
}

/** RFC 5280 §5.2.3. */
export function crlNumber(number: bigint): Buffer {
  return extension(ExtensionOid.crlNumber, false, integer(number))
}

/** RFC 5280 §5.3.1. */
export function crlReason(code: number): Buffer {
  return extension(ExtensionOid.reasonCode, false, enumerated(code))
}
