import { explicit, integer, sequence, time } from './der-writer.ts'
import { authorityKeyIdentifier, crlNumber, crlReason, keyIdentifier } from './extension-writer.ts'
import { IssueError } from './issue-error.ts'
import type { Issuer } from './issue.ts'
import { signed } from './signer.ts'

/** RFC 5280 §5.3.1. `removeFromCRL` belongs to delta CRLs, `unspecified` is said by saying nothing. */
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

export interface RevokedEntry {
  /** Content octets of the serial number. */
  readonly serial: Uint8Array
  /** ms since the epoch. */
  readonly revokedAt: number
  readonly reason: RevocationReason
}

export interface CrlContents {
  /** Greater than that of every CRL this issuer published before (RFC 5280 §5.2.3). */
  readonly number: bigint
  /** ms since the epoch. */
  readonly thisUpdate: number
  readonly nextUpdate: number
  readonly revoked: readonly RevokedEntry[]
}

/** A complete CRL, version 2 (RFC 5280 §5), DER. Throws IssueError when the issuer may not sign CRLs. */
export function issueCrl({ certificate, signer }: Issuer, contents: CrlContents): Promise<Buffer> {
  const { number, thisUpdate, nextUpdate, revoked } = contents
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
    ...(revoked.length > 0 ? [sequence(Buffer.concat(revoked.map(entry)))] : []),
    explicit(0, sequence(authorityKeyIdentifier(authority), crlNumber(number))),
  )
  return signed(tbs, signer)
}

function entry({ serial, revokedAt, reason }: RevokedEntry): Buffer {
  const code = REASON_CODES[reason]
  const extensions = code === undefined ? [] : [sequence(crlReason(code))]
  return sequence(integer(serial), time(revokedAt), ...extensions)
}
