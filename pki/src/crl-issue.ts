import { explicit, integer, sequence, time } from './der-writer.ts'
import {
  authorityKeyIdentifier,
  crlDistributionPoint,
  crlNumber,
  crlReason,
  deltaCrlIndicator,
  keyIdentifier,
} from './extension-writer.ts'
import { IssueError } from './issue-error.ts'
import type { Issuer } from './issue.ts'
import { ExtensionOid } from './oid.ts'
import { checkAddresses } from './publication.ts'
import { signed } from './signer.ts'

/** RFC 5280 §5.3.1. `removeFromCRL` belongs to delta CRLs alone, `unspecified` is said by saying nothing. */
const REASON_CODES = {
  unspecified: undefined,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const
export type RevocationReason = keyof typeof REASON_CODES

const REMOVE_FROM_CRL = 8

export interface RevokedEntry<Reason = RevocationReason> {
  /** Content octets of the serial number. */
  readonly serial: Uint8Array
  /** ms since the epoch. */
  readonly revokedAt: number
  readonly reason: Reason
}

interface CrlTerm {
  /** Greater than that of every CRL, complete or delta, that this issuer published before (RFC 5280 §5.2.3). */
  readonly number: bigint
  /** ms since the epoch. */
  readonly thisUpdate: number
  readonly nextUpdate: number
}

export interface CrlContents extends CrlTerm {
  readonly revoked: readonly RevokedEntry[]
  /** Where the delta CRLs to this one are found (RFC 5280 §5.2.6). */
  readonly deltas?: readonly string[]
}

export interface DeltaCrlContents extends CrlTerm {
  /** Number of the complete CRL that the changes build on. */
  readonly baseNumber: bigint
  /** What happened since; `removeFromCRL` takes an entry of the complete CRL, or of a delta to it, back. */
  readonly changes: readonly RevokedEntry<RevocationReason | 'removeFromCRL'>[]
}

/** A complete CRL, version 2 (RFC 5280 §5), DER. Throws IssueError when the issuer may not sign CRLs. */
export async function issueCrl(issuer: Issuer, { revoked, deltas = [], ...term }: CrlContents): Promise<Buffer> {
  checkAddresses(deltas)
  return write(issuer, term, revoked, deltas.length > 0 ? [crlDistributionPoint(ExtensionOid.freshestCrl, deltas)] : [])
}

/** A delta CRL (RFC 5280 §5.2.4), DER. Throws IssueError when the issuer may not sign CRLs. */
export async function issueDeltaCrl(
  issuer: Issuer,
  { baseNumber, changes, ...term }: DeltaCrlContents,
): Promise<Buffer> {
  if (baseNumber >= term.number) throw new RangeError(`delta CRL ${term.number} cannot build on CRL ${baseNumber}`)
  return write(issuer, term, changes, [deltaCrlIndicator(baseNumber)])
}

async function write(
  { certificate, signer }: Issuer,
  { number, thisUpdate, nextUpdate }: CrlTerm,
  entries: readonly RevokedEntry<RevocationReason | 'removeFromCRL'>[],
  extensions: readonly Uint8Array[],
): Promise<Buffer> {
  if (certificate.allowsKeyUsage('cRLSign') === false) {
    throw new IssueError(
      'issuer-not-a-ca',
      `"${certificate.subject.toString()}" may not sign CRLs: its keyUsage lacks cRLSign.`,
      'Renew the CA certificate with that usage.',
    )
  }
  if (!(nextUpdate > thisUpdate)) {
    throw new IssueError('invalid-term', 'The next CRL would be due before this one.', 'Choose a later next update.')
  }
  const authority = certificate.extensions.subjectKeyIdentifier ?? keyIdentifier(certificate.spki)
  const tbs = sequence(
    integer(1),
    signer.algorithm,
    certificate.subject.der,
    time(thisUpdate),
    time(nextUpdate),
    // RFC 5280 §5.1.2.6: absent when nothing is revoked.
    ...(entries.length > 0 ? [sequence(Buffer.concat(entries.map(entry)))] : []),
    explicit(0, sequence(authorityKeyIdentifier(authority), crlNumber(number), ...extensions)),
  )
  return signed(tbs, signer)
}

function entry({ serial, revokedAt, reason }: RevokedEntry<RevocationReason | 'removeFromCRL'>): Buffer {
  const code = reason === 'removeFromCRL' ? REMOVE_FROM_CRL : REASON_CODES[reason]
  const extensions = code === undefined ? [] : [sequence(crlReason(code))]
  return sequence(integer(serial), time(revokedAt), ...extensions)
}
