import { issueCrl, issuerOf, keySigner, parseCertificate } from '@holdfast/pki'
import type { RevocationReason } from '@holdfast/pki'
import type { TestAuthority } from '../http/certificates.ts'

const DAY = 24 * 60 * 60 * 1000

export interface CrlFields {
  readonly number: number
  readonly revoked?: readonly Uint8Array[]
  readonly reason?: RevocationReason
  /** ms from now. */
  readonly from?: number
  readonly to?: number
}

/** A complete CRL of the CA, DER; `revoked` are certificates, DER. */
export function makeCrl({ der, key }: TestAuthority, fields: CrlFields): Promise<Buffer> {
  const { number, revoked = [], reason = 'keyCompromise', from = -60_000, to = DAY } = fields
  const now = Date.now()
  const entries = revoked.map((leaf) => ({ serial: parseCertificate(leaf).serial, revokedAt: now - 30_000, reason }))
  return issueCrl(issuerOf(parseCertificate(der), keySigner(key)), {
    number: BigInt(number),
    thisUpdate: now + from,
    nextUpdate: now + to,
    revoked: entries,
  })
}
