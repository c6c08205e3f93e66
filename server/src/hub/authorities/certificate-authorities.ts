import { parseCertificate, ParseError, provePossession } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import type { HubErrorCode } from '../../errors.ts'
import { HubError } from '../../errors.ts'
import type { AuthorityState, CertificateAuthority } from '../../model/certificate-authority.ts'
import type { ExpectedEtag } from '../../model/etag.ts'
import { etagMatches } from '../../model/etag.ts'
import type { AuthorityName, HubName } from '../../model/ids.ts'
import { parseAuthorityName } from '../../model/ids.ts'
import type { Peer } from '../../model/peer.ts'
import type { Bus } from '../../ports/bus.ts'
import type { Clock, Randomness } from '../../ports/clock.ts'
import type { Registry, WriteOutcome } from '../../ports/registry.ts'
import { acceptAuthority } from './authority-judgement.ts'
import { firstEtag, nextEtag } from '../etags.ts'
import type { Finding } from '../findings/finding.ts'
import { finding, isFinding } from '../findings/finding.ts'
import type { RefusedError, Refusals } from '../refusals/refusals.ts'
import { ofPeer, summarizeChain } from '../refusals/refusals.ts'

/** 192 bits as hex, in the 64 characters that a common name may have (RFC 5280 appendix A.1). */
const CODE_BYTES = 24

export interface AuthorityOptions {
  /** Null creates; otherwise the registered certificate of this etag is replaced. */
  readonly expected: ExpectedEtag | null
  /** The operator vouches for the key: no proof of possession is asked for. */
  readonly verifiedByOperator?: boolean
  /** Who asks, for the record of a refusal. */
  readonly peer?: Peer
}

export interface AuthoritiesParts {
  readonly registry: Pick<Registry, 'authorities'>
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Randomness
  readonly refusals: Refusals
  /** Most CAs of one hub. */
  readonly limit: number
  /** ms. */
  readonly codeLifetimeMs: number
}

/**
 * The register of CAs of each hub. A CA authenticates nobody until possession of its key is proven; every change moves
 * the etag. What is refused is recorded and rejects with the full reason: the caller is the operator.
 */
export class CertificateAuthorities {
  readonly #parts: AuthoritiesParts

  constructor(parts: AuthoritiesParts) {
    this.#parts = parts
  }

  /**
   * Registers a certificate (DER), or replaces one. Another certificate loses the old one's proof; the same keeps it.
   * Rejects with `certificate-refused`, `certificate-limit-exceeded`, `precondition-failed` or `argument-invalid`.
   */
  async put(hub: HubName, name: string, der: Uint8Array, options: AuthorityOptions): Promise<CertificateAuthority> {
    const authorityName = parseAuthorityName(name)
    const certificate = this.#acceptable(hub, name, der, options.peer)
    const registered = await this.#parts.registry.authorities.list(hub)
    this.#requireNewcomer(certificate, authorityName, registered, options.peer)
    const vouched: AuthorityState | null = options.verifiedByOperator
      ? { kind: 'verified', since: this.#parts.clock.now(), by: 'operator' }
      : null
    const current = registered.find((other) => other.name === authorityName)
    if (options.expected === null) {
      if (current !== undefined) throw taken(name)
      this.#requireRoom(hub, registered.length)
      return this.#create(hub, authorityName, certificate, vouched ?? { kind: 'unverified' })
    }
    if (current === undefined || !etagMatches(options.expected, current.etag)) throw stale(name)
    return this.#replace(current, { ...identityOf(certificate), state: vouched ?? keptProof(current, certificate) })
  }

  /** Rejects with `certificate-not-found`. */
  async get(hub: HubName, name: string): Promise<CertificateAuthority> {
    const authority = await this.#parts.registry.authorities.get(hub, parseAuthorityName(name))
    if (authority === null) throw absent(hub, name)
    return authority
  }

  list(hub: HubName): Promise<readonly CertificateAuthority[]> {
    return this.#parts.registry.authorities.list(hub)
  }

  /** The CA's devices are refused from now on. Rejects with `certificate-not-found` or `precondition-failed`. */
  async delete(hub: HubName, name: string, expected: ExpectedEtag): Promise<void> {
    const outcome = await this.#parts.registry.authorities.delete(hub, parseAuthorityName(name), expected)
    requireWritten(outcome, hub, name)
    this.#tell(hub)
  }

  /**
   * A fresh code that takes the place of any before. Rejects with `certificate-not-found`, `precondition-failed`, or
   * `argument-invalid` when possession is proven already: asking again would take the trust away from live devices.
   */
  async generateVerificationCode(hub: HubName, name: string, expected: ExpectedEtag): Promise<CertificateAuthority> {
    const current = await this.#current(hub, name, expected)
    if (current.state.kind === 'verified')
      throw new HubError('argument-invalid', `Possession of '${name}' is proven already; there is nothing to verify.`)
    const code = Buffer.from(this.#parts.random.bytes(CODE_BYTES)).toString('hex').toUpperCase()
    const expires = this.#parts.clock.now() + this.#parts.codeLifetimeMs
    return this.#replace(current, { state: { kind: 'code-issued', code, expires } })
  }

  /**
   * Takes a certificate (DER) whose common name is the code and that the CA's key signed. A failed attempt is recorded
   * and leaves the code as it is, since 192 bits are not guessed; a good one uses it up.
   * Rejects with `possession-unproven`, `certificate-not-found` or `precondition-failed`.
   */
  async verify(
    hub: HubName,
    name: string,
    expected: ExpectedEtag,
    verificationCertificate: Uint8Array,
    peer?: Peer,
  ): Promise<CertificateAuthority> {
    const current = await this.#current(hub, name, expected)
    const now = this.#parts.clock.now()
    const wrong = judgePossession(current, verificationCertificate, now)
    if (wrong !== null) throw this.#refused(hub, name, wrong, 'possession-unproven', [verificationCertificate], peer)
    return this.#replace(current, { state: { kind: 'verified', since: now, by: 'proof-of-possession' } })
  }

  #acceptable(hub: HubName, name: string, der: Uint8Array, peer: Peer | undefined): Certificate {
    const certificate = acceptAuthority(der, this.#parts.clock.now())
    if (isFinding(certificate)) throw this.#refused(hub, name, certificate, 'certificate-refused', [der], peer)
    return certificate
  }

  /** One certificate under two names would need two proofs and survive the deletion of one. */
  #requireNewcomer(
    certificate: Certificate,
    name: AuthorityName,
    registered: readonly CertificateAuthority[],
    peer: Peer | undefined,
  ): void {
    const twin = registered.find((other) => other.sha256 === certificate.sha256 && other.name !== name)
    if (twin === undefined) return
    const wrong = finding('authority-refused', `This certificate is registered already, as '${twin.name}'.`, {
      remedy: `Use '${twin.name}', or delete it first.`,
      evidence: { reason: 'already-registered', registeredAs: twin.name },
    })
    throw this.#refused(twin.hub, name, wrong, 'certificate-refused', [certificate.der], peer)
  }

  #requireRoom(hub: HubName, count: number): void {
    const { limit } = this.#parts
    if (count >= limit)
      throw new HubError('certificate-limit-exceeded', `Hub '${hub}' holds its most of ${limit} certificates.`)
  }

  async #create(
    hub: HubName,
    name: AuthorityName,
    certificate: Certificate,
    state: AuthorityState,
  ): Promise<CertificateAuthority> {
    const now = this.#parts.clock.now()
    const etag = firstEtag(this.#parts.random)
    const authority = { hub, name, ...identityOf(certificate), etag, created: now, updated: now, state }
    if ((await this.#parts.registry.authorities.create(authority)) === 'exists') throw taken(name)
    this.#tell(hub)
    return authority
  }

  /** Writes only over the version that was judged. */
  async #replace(current: CertificateAuthority, changes: Partial<CertificateAuthority>): Promise<CertificateAuthority> {
    const etag = nextEtag(current.etag)
    const authority = { ...current, ...changes, etag, updated: this.#parts.clock.now() }
    const outcome = await this.#parts.registry.authorities.replace(authority, { kind: 'exactly', etag: current.etag })
    requireWritten(outcome, current.hub, current.name)
    this.#tell(current.hub)
    return authority
  }

  async #current(hub: HubName, name: string, expected: ExpectedEtag): Promise<CertificateAuthority> {
    const current = await this.get(hub, name)
    if (!etagMatches(expected, current.etag)) throw stale(name)
    return current
  }

  #tell(hub: HubName): void {
    this.#parts.bus.publish({ kind: 'authorities-changed', hub })
  }

  #refused(
    hub: HubName,
    name: string,
    { rule, message, remedy, evidence }: Finding,
    code: HubErrorCode,
    chain: readonly Uint8Array[],
    peer: Peer | undefined,
  ): RefusedError {
    const from = peer ? ofPeer(peer) : { protocol: 'local', peer: { address: '', port: 0 } }
    const details = { ...(remedy && { remedy }), ...(evidence && { evidence }) }
    const draft = { ...from, area: 'certificate-authority', hub, identity: name, rule, message, ...details } as const
    return this.#parts.refusals.refuse({ ...draft, chain: summarizeChain(chain) }, code)
  }
}

function identityOf({ der, sha256 }: Certificate): Pick<CertificateAuthority, 'certificate' | 'sha256'> {
  return { certificate: new Uint8Array(der), sha256 }
}

function judgePossession({ certificate, state }: CertificateAuthority, sent: Uint8Array, now: number): Finding | null {
  if (state.kind === 'verified')
    return unproven(
      'code-used',
      'Possession is proven already and its code is used up.',
      'There is nothing more to do.',
    )
  if (state.kind === 'unverified')
    return unproven('no-code', 'No verification code is out for this certificate.', 'Generate a code first.')
  const verification = readVerification(sent)
  if (isFinding(verification)) return verification
  const code = { value: state.code, expiresAt: state.expires }
  const verdict = provePossession({ authority: parseCertificate(certificate), code, verification }, now)
  return verdict.kind === 'possession-error' ? unproven(verdict.rule, verdict.message, verdict.remedy) : null
}

function readVerification(der: Uint8Array): Certificate | Finding {
  try {
    return parseCertificate(der)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    const remedy = 'Upload the certificate that was made for the code, as PEM or DER.'
    return unproven('malformed', `The verification certificate cannot be read: ${error.message}.`, remedy)
  }
}

function unproven(reason: string, message: string, remedy: string): Finding {
  return finding('possession-refused', message, { remedy, evidence: { reason } })
}

/** The very same certificate keeps its proof; a code is bound to the version it was made for, so it does not. */
function keptProof({ sha256, state }: CertificateAuthority, certificate: Certificate): AuthorityState {
  return sha256 === certificate.sha256 && state.kind === 'verified' ? state : { kind: 'unverified' }
}

function requireWritten(outcome: WriteOutcome, hub: HubName, name: string): void {
  if (outcome === 'absent') throw absent(hub, name)
  if (outcome === 'etag-mismatch') throw stale(name)
}

function absent(hub: HubName, name: string): HubError {
  return new HubError('certificate-not-found', `Hub '${hub}' has no certificate '${name}'.`)
}

function stale(name: string): HubError {
  const message = `Certificate '${name}' is not in the expected version: read it again and repeat the change.`
  return new HubError('precondition-failed', message)
}

function taken(name: string): HubError {
  const message = `There is a certificate '${name}' already: replace it by sending its etag as If-Match.`
  return new HubError('precondition-failed', message)
}
