import { certificateId, parseCrl } from '@holdfast/pki'
import type { Certificate, Crl, Name, Revocation as PathRevocation, RevocationFacts } from '@holdfast/pki'
import type { DeviceId } from '../../model/ids.ts'
import type { Revocation, RevocationRule, SequencedRecord, StoredCrl } from '../../model/revocation.ts'
import { describeTarget, targetId } from '../../model/revocation.ts'
import { keyDigest } from '../authorities/known-authorities.ts'

/** A hub's treatment of CAs that nobody set up: obey every CRL there is, and ask for none. */
export const DEFAULT_RULE = { policy: 'prefer', crlUrls: [], fetch: false, ocsp: null } as const satisfies Pick<
  RevocationRule,
  'policy' | 'crlUrls' | 'fetch' | 'ocsp'
>

/** Everything that one hub holds about revocation, in memory: asking is a lookup. As many entries as there are records. */
export class HubRevocationFacts implements RevocationFacts {
  /** By targetId; lifted ones too. */
  readonly #rows = new Map<string, Revocation>()
  readonly #crls = new Map<string, { readonly stored: StoredCrl; readonly crl: Crl }>()
  readonly #crlsByFile = new Map<string, StoredCrl>()
  readonly #crlsByIssuer = new Map<string, readonly Crl[]>()
  readonly #rules = new Map<string, RevocationRule>()
  /** How many rows name an authority's key or a SHA-1 thumbprint: without any, those digests need not be made. */
  #byKey = 0
  #bySha1 = 0

  apply(record: SequencedRecord): void {
    if (record.kind === 'revocation') this.#addRow(record)
    else if (record.kind === 'crl') this.#addCrl(record)
    else if (record.kind === 'rule') this.#rules.set(record.id, record)
  }

  find(certificate: Certificate): PathRevocation | undefined {
    const row = this.rowOf(certificate)
    return row && asPathRevocation(row)
  }

  /** The decision about exactly this certificate, or about the key in it. */
  rowOf(certificate: Certificate): Revocation | undefined {
    if (this.#rows.size === 0) return undefined
    return (
      this.#inForce(`certificate:${certificateId(certificate)}`) ??
      this.#inForce(`thumbprint:${certificate.sha256}`) ??
      (this.#bySha1 > 0 ? this.#inForce(`thumbprint:${certificate.sha1}`) : undefined) ??
      (this.#byKey > 0 ? this.#inForce(`authority:${keyDigest(certificate)}`) : undefined)
    )
  }

  /** For a certificate of which nothing is known but its id. */
  rowOfId(id: string): Revocation | undefined {
    return this.#inForce(`certificate:${id}`)
  }

  rowOfDevice(deviceId: DeviceId, generationId: string): Revocation | undefined {
    return this.#inForce(targetId({ kind: 'device', deviceId, generationId }))
  }

  get hasCrls(): boolean {
    return this.#crls.size > 0
  }

  crlsBy(issuer: Name): readonly Crl[] {
    return this.#crlsByIssuer.get(issuer.key) ?? []
  }

  policyOf(issuer: Certificate): RevocationRule['policy'] {
    return this.ruleOf(issuer)?.policy ?? DEFAULT_RULE.policy
  }

  ruleOf(issuer: Certificate): RevocationRule | undefined {
    return this.#rules.size === 0 ? undefined : this.#rules.get(keyDigest(issuer))
  }

  rules(): readonly RevocationRule[] {
    return [...this.#rules.values()]
  }

  rows(): readonly Revocation[] {
    return [...this.#rows.values()]
  }

  crls(): readonly StoredCrl[] {
    return [...this.#crls.values()].map(({ stored }) => stored)
  }

  /** By the last part of the path that it is served under. */
  crlOfFile(file: string): StoredCrl | undefined {
    return this.#crlsByFile.get(file)
  }

  #inForce(id: string): Revocation | undefined {
    const row = this.#rows.get(id)
    return row === undefined || row.liftedAt !== null ? undefined : row
  }

  #addRow(row: Revocation): void {
    const id = targetId(row.target)
    if (!this.#rows.has(id)) {
      if (row.target.kind === 'authority') this.#byKey += 1
      if (row.target.kind === 'thumbprint' && row.target.thumbprint.length === 40) this.#bySha1 += 1
    }
    this.#rows.set(id, row)
  }

  #addCrl(stored: StoredCrl): void {
    const crl = parseCrl(stored.certificate)
    this.#crls.set(stored.id, { stored, crl })
    this.#crlsByFile.set(stored.file, stored)
    const { key } = crl.issuer
    const ofIssuer = [...this.#crls.values()].map((each) => each.crl).filter((each) => each.issuer.key === key)
    this.#crlsByIssuer.set(key, ofIssuer)
  }
}

function asPathRevocation({ revokedAt, reason, target, by, because }: Revocation): PathRevocation {
  const cause = because === null ? describeTarget(target) : because
  return { revokedAt, reason, source: `revoked by ${by}: ${cause}` }
}
