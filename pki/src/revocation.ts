import { AnchorSet } from './anchor-set.ts'
import type { Certificate } from './certificate.ts'
import type { Crl } from './crl.ts'
import type { RevocationReason } from './crl-issue.ts'
import { ALL_REASONS, crlIssuers, distributionPoints, reasonsCovered } from './crl-scope.ts'
import { CrlSigners } from './crl-signer.ts'
import type { DistributionPoint } from './distribution-point.ts'
import type { Name } from './name.ts'
import type { PathVerifier } from './path.ts'
import type { TrustError } from './trust-error.ts'
import { clip, instant, refusal } from './trust-error.ts'

/**
 * What to do about a certificate whose status no CRL at hand settles. `require`: refuse. `prefer`: accept, but obey every
 * CRL there is. `off`: look at no CRL. Decisions of the operator (`find`) hold under each.
 */
export type RevocationPolicy = 'require' | 'prefer' | 'off'

export interface Revocation {
  /** ms since the epoch. */
  readonly revokedAt: number
  readonly reason: RevocationReason
  /** Where this is known from, for a person: "revoked by an operator", "CRL 12 of …". */
  readonly source: string
}

/** What is known about revocation: indexes in memory, so that asking is a lookup. */
export interface RevocationFacts {
  /** An operator's decision about exactly this certificate (by certificateId, or by sha256). */
  find(certificate: Certificate): Revocation | undefined
  /** Every CRL at hand under this issuer name, complete and delta, current or not. */
  crlsBy(issuer: Name): readonly Crl[]
  /** False: no CRL is at hand, under any name. */
  readonly hasCrls?: boolean
  /** What the CA's responder said of the certificate, while that counts; `good` stands in for a CRL. */
  answerOf?(certificate: Certificate, issuer: Certificate): Revocation | 'good' | undefined
  /** The policy for certificates that this CA issued. */
  policyOf(issuer: Certificate): RevocationPolicy
}

export interface RevocationRequest {
  /** Leaf first, anchor last; verified but for revocation. */
  readonly path: readonly Certificate[]
  readonly facts: RevocationFacts
  /** ms since the epoch. */
  readonly now: number
  readonly verifier: PathVerifier
  /** Certificates that may sign CRLs apart from the path's own CAs. Each is verified up to the path's anchor. */
  readonly signers?: readonly Certificate[]
}

/** Is anything on this path revoked? The anchor itself is asked for operator's decisions only (RFC 5280 §6.3). */
export function checkRevocation(request: RevocationRequest): TrustError | undefined {
  const anchor = request.path.at(-1)
  if (anchor === undefined) return undefined
  return new RevocationCheck(request, anchor, new Set()).run(request.path)
}

type Status =
  | { readonly kind: 'good' }
  | { readonly kind: 'unknown'; readonly why: string }
  | { readonly kind: 'revoked'; readonly revocation: Revocation }

const NO_CRL = { kind: 'unknown', why: 'no CRL of its issuer is at hand' } as const

class RevocationCheck {
  readonly #request: RevocationRequest
  readonly #anchor: Certificate
  #crlSigners: CrlSigners | undefined
  /** CRL signers whose own status is being looked up, by sha256: a CRL cannot vouch for the key that signed it. */
  readonly #inProgress: ReadonlySet<string>

  constructor(request: RevocationRequest, anchor: Certificate, inProgress: ReadonlySet<string>) {
    this.#request = request
    this.#anchor = anchor
    this.#inProgress = inProgress
  }

  /**
   * From the anchor down: what hangs below a revoked CA is not worth asking about. What cannot be settled is told only when
   * nothing is revoked: of a path that was good once, it alone is no reason to end anything.
   */
  run(path: readonly Certificate[]): TrustError | undefined {
    let unknown: TrustError | undefined
    for (let position = path.length - 1; position >= 0; position--) {
      const certificate = path[position]
      if (certificate === undefined) continue
      const status = this.#status(certificate, path.slice(position))
      if (status.kind === 'revoked') return revoked(status.revocation, certificate, position)
      if (status.kind === 'unknown') unknown ??= statusUnknown(status.why, certificate, position)
    }
    return unknown
  }

  /** `above`: the certificate, its issuer, and so on up to the anchor. */
  #status(certificate: Certificate, above: readonly Certificate[]): Status {
    const { facts } = this.#request
    const revocation = facts.find(certificate)
    if (revocation !== undefined) return { kind: 'revoked', revocation }
    const issuer = above[1]
    if (issuer === undefined) return { kind: 'good' }
    const policy = facts.policyOf(issuer)
    if (policy === 'off') return { kind: 'good' }
    const answer = facts.answerOf?.(certificate, issuer)
    if (answer !== undefined && answer !== 'good') return { kind: 'revoked', revocation: answer }
    const status = facts.hasCrls === false ? NO_CRL : this.#statusByCrls(certificate, above)
    const isSettled = answer === 'good' || policy === 'prefer'
    return status.kind === 'unknown' && isSettled ? { kind: 'good' } : status
  }

  /** RFC 5280 §6.3.3: reasons are collected over all distribution points until none is left open. */
  #statusByCrls(certificate: Certificate, above: readonly Certificate[]): Status {
    let settled = 0
    let why: string = NO_CRL.why
    for (const point of distributionPoints(certificate)) {
      for (const crl of this.#completeCrls(certificate, point)) {
        const covered = reasonsCovered(crl, certificate, point)
        if ((covered & ~settled) === 0) continue
        const signer = this.#signers.of(crl, above)
        if (signer === undefined) {
          why = `CRL ${label(crl)} is not signed by a CA that may sign it`
          continue
        }
        // Whoever signed this list meant it: being late, or without a number, does not make an entry untrue.
        const revocation = this.#entry(crl, certificate, signer)
        if (revocation !== undefined) return { kind: 'revoked', revocation }
        const doubt = staleness(crl, this.#request.now)
        if (doubt === undefined) settled |= covered
        else why = doubt
        if (settled === ALL_REASONS) return { kind: 'good' }
      }
    }
    return { kind: 'unknown', why: settled === 0 ? why : 'the CRLs at hand do not cover every reason of revocation' }
  }

  get #signers(): CrlSigners {
    const { verifier, now, path, signers = [] } = this.#request
    return (this.#crlSigners ??= new CrlSigners({
      verifier,
      now,
      anchors: new AnchorSet([this.#anchor]),
      candidates: [...path, ...signers],
      checkSigner: (signerPath) => this.#checkSigner(signerPath, this.#anchor),
    }))
  }

  #completeCrls(certificate: Certificate, point: DistributionPoint): Crl[] {
    const crls = crlIssuers(certificate, point).flatMap((name) => this.#request.facts.crlsBy(name))
    return crls.filter((crl) => !crl.isDelta && isUnderstood(crl)).toSorted(newestFirst)
  }

  /** What the complete CRL says of the certificate, or its newest delta where that says something (§6.3.3 (i) to (k)). */
  #entry(crl: Crl, certificate: Certificate, signer: Certificate): Revocation | undefined {
    const { issuer, serial } = certificate
    const delta = this.#newestDelta(crl, signer)
    const change = delta?.find(issuer, serial)
    // Only a delta can take an entry back (§5.3.1).
    if (change?.reason === 'removeFromCRL') return undefined
    const entry = change ?? crl.find(issuer, serial)
    if (entry === undefined) return undefined
    const reason = entry.reason === 'removeFromCRL' ? 'unspecified' : entry.reason
    const source = `CRL ${label(change === undefined || delta === undefined ? crl : delta)}`
    return { revokedAt: entry.revokedAt, reason, source }
  }

  #newestDelta(crl: Crl, signer: Certificate): Crl | undefined {
    const { facts, now } = this.#request
    return facts
      .crlsBy(crl.issuer)
      .filter((other) => isDeltaOf(other, crl) && isUnderstood(other) && staleness(other, now) === undefined)
      .toSorted(newestFirst)
      .find((other) => this.#signers.isSignedBy(other, signer))
  }

  /** A CRL signer that is no CA of the path must itself be good (§6.3.3 (f)), and not by its own word. */
  #checkSigner(signerPath: readonly Certificate[], anchor: Certificate): TrustError | undefined {
    const [signer] = signerPath
    if (signer === undefined) return undefined
    if (this.#inProgress.has(signer.sha256) || this.#inProgress.size >= MAX_SIGNER_DEPTH) {
      return statusUnknown('it is to be settled by a CRL that it signed itself', signer, 0)
    }
    const inProgress = new Set([...this.#inProgress, signer.sha256])
    return new RevocationCheck(this.#request, anchor, inProgress).run(signerPath)
  }
}

/** Signers whose status is settled by CRLs of other signers, and so on; two is the most that is found in practice. */
const MAX_SIGNER_DEPTH = 3

function isUnderstood(crl: Crl): boolean {
  return crl.unknownCritical.length === 0
}

function newestFirst(a: Crl, b: Crl): number {
  if (a.number !== undefined && b.number !== undefined && a.number !== b.number) return a.number < b.number ? 1 : -1
  return b.thisUpdate - a.thisUpdate
}

/** RFC 5280 §6.3.3 (c) and §5.2.4: same issuer, key and scope; built on this list or an older one, and newer than it. */
function isDeltaOf(delta: Crl, complete: Crl): boolean {
  if (delta.baseNumber === undefined || delta.number === undefined || complete.number === undefined) return false
  const sameScope = equalBytes(delta.scope?.der, complete.scope?.der)
  const sameKey = equalBytes(
    delta.authorityKeyIdentifier?.keyIdentifier,
    complete.authorityKeyIdentifier?.keyIdentifier,
  )
  return sameScope && sameKey && delta.baseNumber <= complete.number && delta.number > complete.number
}

function equalBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return Buffer.compare(a, b) === 0
}

/** Why a list does not show today's state, or undefined when it does. */
function staleness(crl: Crl, now: number): string | undefined {
  // RFC 5280 §5.2.3 and §5.1.2.5 make both compulsory; without them an old list could be passed off as the newest.
  if (crl.number === undefined) return `CRL ${label(crl)} has no CRL number`
  if (crl.nextUpdate === undefined) return `CRL ${label(crl)} does not say when the next one is due`
  if (now < crl.thisUpdate) return `CRL ${label(crl)} is not valid before ${instant(crl.thisUpdate)}`
  if (now > crl.nextUpdate) return `CRL ${label(crl)} was due to be replaced at ${instant(crl.nextUpdate)}`
  return undefined
}

function label({ number, issuer }: Crl): string {
  return `${number ?? 'without number'} of "${clip(issuer.toString())}"`
}

function revoked({ revokedAt, reason, source }: Revocation, certificate: Certificate, position: number): TrustError {
  const problem = `was revoked at ${instant(revokedAt)} (${reason}; ${source})`
  const remedy =
    position === 0
      ? 'issue the device a new certificate with a new key, unless it was revoked for good cause'
      : 'issue the devices below this CA from another CA'
  const evidence = { revokedAt: instant(revokedAt), reason, source }
  return refusal({ rule: 'revoked', problem, remedy, evidence }, certificate, position)
}

function statusUnknown(why: string, certificate: Certificate, position: number): TrustError {
  const problem = `may have been revoked: ${why}`
  const issuer = certificate.issuer.toString()
  const remedy = `import a current CRL of its issuer "${issuer}", or relax the revocation policy of that CA`
  return refusal({ rule: 'revocation-unknown', problem, remedy, evidence: { why, issuer } }, certificate, position)
}
