import { hash } from 'node:crypto'
import { authorityInfoAccess, crlDistributionPoint } from './extension-writer.ts'
import { IssueError } from './issue-error.ts'
import { AccessMethod, ExtensionOid } from './oid.ts'

/** Where the holder of a certificate may ask about it. Addresses of one kind are ways to the same thing. */
export interface Publication {
  /** The CRL of whoever signs it (RFC 5280 §4.2.1.13). */
  readonly crls?: readonly string[]
  /** OCSP responders (RFC 5280 §4.2.2.1). */
  readonly ocsp?: readonly string[]
  /** The certificate of whoever signs it. */
  readonly caIssuers?: readonly string[]
}

/** The name under which a hub serves what the holder of a key publishes; it stays while the key does. */
export function publicationName({ spki }: { readonly spki: Uint8Array }): string {
  return hash('sha256', spki, 'hex').slice(0, 40)
}

const MAX_ADDRESSES = 8
const MAX_LENGTH = 1_000

/** Throws IssueError `invalid-address` unless what checks a certificate can ask there. */
export function checkAddresses(addresses: readonly string[]): void {
  for (const address of addresses) {
    const url = URL.parse(address)
    // RFC 5280 §8: a server behind TLS has a certificate too, and whoever asks would have to ask about that one first.
    const wrong =
      !/^[\x21-\x7e]+$/.test(address) || url === null || url.protocol !== 'http:'
        ? 'it is no http address; what is fetched there is signed, and https would lead in a circle (RFC 5280 §8)'
        : url.username !== '' || url.password !== '' || url.hash !== ''
          ? 'everybody reads it, so that it must hold neither a user nor a fragment'
          : address.length > MAX_LENGTH
            ? `it is longer than ${MAX_LENGTH} characters`
            : null
    if (wrong !== null) throw refused(address, wrong)
  }
  if (addresses.length > MAX_ADDRESSES)
    throw refused(addresses[MAX_ADDRESSES] ?? '', `more than ${MAX_ADDRESSES} stand before it`)
}

/** The extensions for it, DER; none for an empty one. Throws IssueError `invalid-address`. */
export function publicationExtensions({ crls = [], ocsp = [], caIssuers = [] }: Publication): Buffer[] {
  for (const addresses of [crls, ocsp, caIssuers]) checkAddresses(addresses)
  const access = [
    ...ocsp.map((address) => ({ method: AccessMethod.ocsp, address })),
    ...caIssuers.map((address) => ({ method: AccessMethod.caIssuers, address })),
  ]
  return [
    ...(crls.length > 0 ? [crlDistributionPoint(ExtensionOid.crlDistributionPoints, crls)] : []),
    ...(access.length > 0 ? [authorityInfoAccess(access)] : []),
  ]
}

function refused(address: string, why: string): IssueError {
  const shown = address.slice(0, 200).replaceAll(/[^\x20-\x7e]/g, '\u{fffd}')
  return new IssueError(
    'invalid-address',
    `"${shown}" cannot stand in a certificate: ${why}.`,
    'Give an address such as http://pki.contoso.example/line7.crl.',
  )
}
