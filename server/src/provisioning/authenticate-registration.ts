import { certificateId, VerifiedPath } from '@holdfast/pki'
import type { AnchorSet, Certificate, TrustError } from '@holdfast/pki'
import { authorityEvidence, keyEvidence, leafEvidence } from '../hub/door/enrollment-standing.ts'
import type { Evidence } from '../hub/door/enrollment-standing.ts'
import { keyDigestOf } from '../hub/findings/device-credential.ts'
import type { Holder, Holders, LossReason, Verdict } from '../hub/holders.ts'
import { parseChain, pathFinding } from '../hub/findings/certificate-judgement.ts'
import type { ParsedChain } from '../hub/findings/certificate-judgement.ts'
import type { Finding } from '../hub/findings/finding.ts'
import { finding, isFinding } from '../hub/findings/finding.ts'
import type { Hubs } from '../hub/hubs.ts'
import { findPath } from '../hub/door/path-finding.ts'
import type { PathTrust } from '../hub/revocation/path-trust.ts'
import { ofPeer } from '../hub/refusals/refusals.ts'
import type { RefusedError, Refusals } from '../hub/refusals/refusals.ts'
import { revokedDirectly } from '../hub/door/revoked.ts'
import { signingKeyOf } from '../hub/door/sas-token.ts'
import { judgeForNobody } from '../hub/door/token-judgement.ts'
import type { TrustAnchors } from '../hub/authorities/trust-anchors.ts'
import type { HubErrorCode } from '../errors.ts'
import { HubError } from '../errors.ts'
import type { Enrollment, IndividualEnrollment } from '../model/enrollment.ts'
import { anchorGround, certificateGround, enrollmentGround } from '../model/ground.ts'
import type { Ground } from '../model/ground.ts'
import { parseRegistrationId, printable } from '../model/ids.ts'
import type { HubName, RegistrationId } from '../model/ids.ts'
import type { Peer } from '../model/peer.ts'
import type { Clock } from '../ports/clock.ts'
import type { Registry } from '../ports/registry.ts'
import { deriveDeviceKey } from './derived-keys.ts'
import { GroupIndex } from './group-index.ts'
import type { SymmetricGroup } from './group-index.ts'
import { enrollmentReference } from './registered-device.ts'
import {
  blocked,
  judgeEnrolledCertificate,
  judgeRegistrationName,
  judgeValidity,
  notEnrolled,
  readRegistrationToken,
} from './registration-judgement.ts'

/** For so long a proof stands without a look at the groups and CAs around it. */
const FRESH_MS = 5_000

/** What a device says of itself, over whichever protocol. */
export interface RegistrationClaim {
  readonly scope: string
  /** As the device spelled it. */
  readonly registrationId: string
  /** Shared access signature, or null when the device relies on its certificate. */
  readonly token: string | null
}

/** What proved the device, and becomes its credential at the hub. */
export type RegistrationEvidence =
  /** `path` leads from the leaf to a verified CA; null for a self-signed certificate that is enrolled itself. */
  | { readonly kind: 'x509'; readonly leaf: Certificate; readonly path: VerifiedPath | null }
  | { readonly kind: 'symmetricKey'; readonly primaryKey: string; readonly secondaryKey: string }

interface Proof {
  readonly kind: 'proof'
  readonly enrollment: Enrollment
  readonly evidence: RegistrationEvidence
  /** What of the enrollment it was proven by. */
  readonly enrolled: Evidence
  /** ms: the end of the token, or of the certificate that ends first. */
  readonly expiresAt: number
}

interface EnrolledKeys {
  readonly enrollment: Enrollment
  /** What the enrollment holds: a device of a group signs with keys that are derived from these. */
  readonly enrolled: readonly [primary: string, secondary: string]
  readonly primaryKey: string
  readonly secondaryKey: string
}

interface Candidate extends RegistrationClaim {
  readonly id: RegistrationId
  readonly peer: Peer
}

/** A device that has proven itself to this module, and the enrollment that decides about it. */
class AuthenticatedRegistration implements Verdict {
  readonly registrationId: RegistrationId
  readonly presentedId: string
  /** As it was when the device proved itself. */
  readonly enrollment: Enrollment
  readonly evidence: RegistrationEvidence
  /** ms: the end of the token, or of the certificate that ends first. */
  readonly expiresAt: number
  readonly grounds: readonly Ground[]
  readonly asOf: number
  readonly provenAt: number
  /** Of the facts about CAs and revocation that it was judged by. */
  readonly trustRevision: string
  readonly peer: Peer
  /** Holds the token, so it is not to be seen; and no other object of this shape passes for one of these. */
  readonly #claim: RegistrationClaim

  constructor(
    { id, peer, ...claim }: Candidate,
    proof: Proof,
    { home, now, trustRevision, asOf }: { home: HubName; now: number; trustRevision: string; asOf: number },
  ) {
    this.registrationId = id
    this.presentedId = claim.registrationId
    this.enrollment = proof.enrollment
    this.evidence = proof.evidence
    this.expiresAt = proof.expiresAt
    this.grounds = groundsOf(proof, home)
    this.asOf = asOf
    this.provenAt = now
    this.trustRevision = trustRevision
    this.peer = peer
    this.#claim = claim
    Object.freeze(this)
  }

  /** For the connection that goes on by it. */
  heldUntil(lost: (reason: LossReason) => void): Holder {
    const { grounds, expiresAt, asOf, evidence } = this
    return { grounds, expiresAt, asOf, leaf: evidence.kind === 'x509' ? evidence.leaf.der : undefined, lost }
  }

  static claimOf(who: AuthenticatedRegistration): RegistrationClaim {
    return who.#claim
  }
}
/** The type alone: nobody else makes one. */
export type { AuthenticatedRegistration }

export type RegistrationVerdict =
  | { readonly kind: 'proven'; readonly who: AuthenticatedRegistration }
  | { readonly kind: 'rejection'; readonly found: Finding; readonly code: HubErrorCode }

/** The one door of the provisioning service: scope, then the individual enrollment of the id, then the groups. */
export class RegistrationDoor {
  readonly #scope: string
  readonly #hubs: Hubs
  readonly #registry: Registry
  readonly #anchors: TrustAnchors
  readonly #trust: PathTrust
  readonly #refusals: Refusals
  readonly #holders: Pick<Holders, 'moment'>
  readonly #clock: Clock
  readonly #groups: GroupIndex

  constructor(parts: {
    scope: string
    hubs: Hubs
    registry: Registry
    anchors: TrustAnchors
    trust: PathTrust
    refusals: Refusals
    holders: Pick<Holders, 'moment'>
    clock: Clock
  }) {
    this.#scope = parts.scope
    this.#hubs = parts.hubs
    this.#registry = parts.registry
    this.#anchors = parts.anchors
    this.#trust = parts.trust
    this.#refusals = parts.refusals
    this.#holders = parts.holders
    this.#clock = parts.clock
    this.#groups = new GroupIndex(parts.registry, parts.hubs.home.name)
  }

  /** Rejects with RefusedError: `unauthorized`, or `enrollment-disabled` once the device has proven itself. */
  async authenticate(claim: RegistrationClaim, peer: Peer): Promise<AuthenticatedRegistration> {
    const verdict = await this.judge(claim, peer)
    if (verdict.kind === 'rejection') throw this.refuse(claim.registrationId, peer, verdict.found, verdict.code)
    return verdict.who
  }

  /** The verdict alone: no refusal is recorded. */
  async judge(claim: RegistrationClaim, peer: Peer): Promise<RegistrationVerdict> {
    const id = readRegistrationId(claim.registrationId)
    if (typeof id !== 'string') return reject(id, 'argument-invalid')
    if (claim.scope.toLowerCase() !== this.#scope.toLowerCase()) return reject(this.#wrongScope(claim.scope))
    const candidate = { ...claim, id, peer }
    // Before the judgement: a change in between makes the proof look older than it is, never newer.
    const asOf = this.#holders.moment
    const trustRevision = await this.#trustRevision()
    const individual = await this.#registry.enrollments.getIndividual(id)
    const proof = individual ? await this.#byIndividual(candidate, individual) : await this.#byGroup(candidate)
    if (isFinding(proof)) return reject(proof)
    if (proof.enrollment.status === 'disabled') return reject(blocked(proof.enrollment), 'enrollment-disabled')
    const revoked = await this.#revokedDevice(id)
    if (revoked !== null) return reject(revoked)
    const who = new AuthenticatedRegistration(candidate, proof, {
      home: this.#hubs.home.name,
      now: this.#clock.now(),
      trustRevision,
      asOf,
    })
    return { kind: 'proven', who }
  }

  /**
   * For a device that asks again on its connection: the same proof while it is fresh and its enrollment unchanged,
   * otherwise judged anew by what the device has shown. Rejects as `authenticate`.
   */
  async renew(who: AuthenticatedRegistration): Promise<AuthenticatedRegistration> {
    const claim = AuthenticatedRegistration.claimOf(who)
    const { enrollments } = this.#registry
    const individual = await enrollments.getIndividual(who.registrationId)
    const present =
      individual === null && who.enrollment.kind === 'group'
        ? await enrollments.getGroup(who.enrollment.enrollmentGroupId)
        : individual
    const now = this.#clock.now()
    const isUnchanged = present?.kind === who.enrollment.kind && present.etag === who.enrollment.etag
    const isFresh = now - who.provenAt < FRESH_MS && (await this.#trustRevision()) === who.trustRevision
    if (isUnchanged && now < who.expiresAt && isFresh) return who
    return this.authenticate(claim, who.peer)
  }

  /** Records the refusal of a device, and returns the error to throw. */
  refuse(presentedId: string, peer: Peer, reason: Finding, code: HubErrorCode): RefusedError {
    const { kind: _, ...told } = reason
    return this.#refusals.refuse(
      { ...ofPeer(peer), area: 'provisioning', hub: null, identity: presentedId, ...told },
      code,
    )
  }

  async #trustRevision(): Promise<string> {
    return `${await this.#registry.authorities.revision()}/${this.#trust.revocations.revision}`
  }

  /** Was the device that this id is assigned to revoked, by the hub that it is at? */
  async #revokedDevice(id: RegistrationId): Promise<Finding | null> {
    const registration = await this.#registry.registrations.get(id)
    if (!registration?.assignedHub || !registration.deviceId) return null
    const { assignedHub: hub, deviceId } = registration
    const device = await this.#registry.devices.get(hub, deviceId)
    const row = device && this.#trust.revocations.facts(hub).rowOfDevice(deviceId, device.generationId)
    return row ? revokedDirectly(row, `Device '${deviceId}' of hub '${hub}'`) : null
  }

  #wrongScope(scope: string): Finding {
    const evidence = { claimed: printable(scope), scope: this.#scope }
    return finding('scope-unknown', `The id scope '${printable(scope)}' is not '${this.#scope}'.`, {
      remedy: `Give the device the id scope of this service, '${this.#scope}'.`,
      evidence,
    })
  }

  async #byIndividual(candidate: Candidate, enrollment: IndividualEnrollment): Promise<Proof | Finding> {
    const { attestation } = enrollment
    if (attestation.type === 'symmetricKey') {
      const { primaryKey, secondaryKey } = attestation
      return this.#judgeKeys(candidate, [
        { enrollment, enrolled: [primaryKey, secondaryKey], primaryKey, secondaryKey },
      ])
    }
    const chain = this.#chain(candidate)
    if (isFinding(chain)) return chain
    const { leaf } = chain
    const wrong = judgeEnrolledCertificate(leaf, attestation.clientCertificates)
    if (wrong !== null) return wrong
    if (!leaf.selfIssued) {
      // A certificate that a CA signed is worth what that CA is worth, even where it is enrolled itself.
      const path = await this.#path(chain)
      return path instanceof VerifiedPath ? byPath(enrollment, path, leafEvidence(leaf)) : path
    }
    const stale = judgeValidity(leaf, this.#clock.now())
    if (stale !== null) return stale
    const revoked = this.#trust.judge(this.#hubs.home.name, [leaf], this.#clock.now())
    if (revoked !== undefined) return pathFinding(revoked)
    const evidence = { kind: 'x509', leaf, path: null } as const
    return { kind: 'proof', enrollment, evidence, enrolled: leafEvidence(leaf), expiresAt: leaf.notAfter }
  }

  async #byGroup(candidate: Candidate): Promise<Proof | Finding> {
    if (candidate.token !== null) return this.#byDerivedKey(candidate)
    const chain = this.#chain(candidate)
    if (isFinding(chain)) return chain
    const groups = await this.#groups.current()
    const path = await this.#path(chain)
    if (!(path instanceof VerifiedPath)) return path
    const nearest = groups.nearest(path.certificates)
    if (nearest !== null) return byPath(nearest.group, path, authorityEvidence(nearest.authority))
    // The path ended at the first verified CA; a group may name one further up, reached through that CA.
    const longer = await this.#verify(chain, groups.referred, path.anchor)
    if (!(longer instanceof VerifiedPath)) return notEnrolled(candidate.id, path)
    const further = groups.nearest(longer.certificates)
    return further === null
      ? notEnrolled(candidate.id, path)
      : byPath(further.group, longer, authorityEvidence(further.authority))
  }

  async #byDerivedKey(candidate: Candidate): Promise<Proof | Finding> {
    const { symmetric } = await this.#groups.current()
    return this.#judgeKeys(candidate, derivedKeys(candidate, symmetric))
  }

  /** The first pair of keys of which one signed the token decides. */
  #judgeKeys({ token: text, id }: Candidate, choices: Iterable<EnrolledKeys>): Proof | Finding {
    if (text === null) return finding('token-missing', 'The enrollment asks for a symmetric key, and no token came.')
    const read = readRegistrationToken(text, { scope: this.#scope, registrationId: id }, this.#clock.now())
    if (isFinding(read)) return read
    let tried = 0
    for (const { enrollment, enrolled: keys, primaryKey, secondaryKey } of choices) {
      tried++
      const signer = signingKeyOf(read.token, [primaryKey, secondaryKey], 'iot')
      if (signer === null) continue
      const evidence = { kind: 'symmetricKey', primaryKey, secondaryKey } as const
      const enrolled = keyEvidence(keyDigestOf(keys[signer === primaryKey ? 0 : 1]))
      return { kind: 'proof', enrollment, evidence, enrolled, expiresAt: read.token.expiresAt }
    }
    if (tried > 0)
      return finding('token-signature-wrong', `The token was signed with no key that is enrolled for '${id}'.`)
    judgeForNobody(text, this.#clock.now())
    return finding('enrollment-unknown', `'${id}' has no individual enrollment, and no group has a symmetric key.`)
  }

  /** The chain as sent, and its leaf named as the device says. */
  #chain({ id, registrationId, peer }: Candidate): ParsedChain | Finding {
    const chain = parseChain(peer.chain)
    if (isFinding(chain)) return chain
    return judgeRegistrationName(chain.leaf, id, registrationId) ?? chain
  }

  /** To a CA of the home hub that somebody has proven to hold. */
  #path(chain: ParsedChain): Promise<VerifiedPath | Finding> {
    return findPath(chain, this.#hubs.home, { anchors: this.#anchors, trust: this.#trust, clock: this.#clock })
  }

  #verify(
    { leaf, intermediates }: ParsedChain,
    anchors: AnchorSet,
    known: Certificate | null,
  ): Promise<VerifiedPath | TrustError> {
    return this.#trust.verify(this.#hubs.home.name, {
      leaf,
      intermediates: known === null ? intermediates : [...intermediates, known],
      anchors,
      now: this.#clock.now(),
      profile: this.#hubs.home.profile ?? 'compatible',
      purpose: 'clientAuth',
    })
  }
}

function reject(found: Finding, code: HubErrorCode = 'unauthorized'): RegistrationVerdict {
  return { kind: 'rejection', found, code }
}

function readRegistrationId(text: string): RegistrationId | Finding {
  try {
    return parseRegistrationId(text)
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    const remedy = 'Use 1 to 128 letters, digits, - . _ : and end in a letter, a digit or -.'
    return finding('device-id-invalid', `${error.message}.`, { remedy })
  }
}

function byPath(enrollment: Enrollment, path: VerifiedPath, enrolled: Evidence): Proof {
  const evidence = { kind: 'x509', leaf: path.leaf, path } as const
  return { kind: 'proof', enrollment, evidence, enrolled, expiresAt: path.notAfter }
}

/** `home` is the hub whose CAs and revocations were asked. */
function groundsOf({ enrollment, evidence, enrolled }: Proof, home: HubName): readonly Ground[] {
  const grounds = [enrollmentGround(enrollmentReference(enrollment), enrolled.proof)]
  if (evidence.kind === 'symmetricKey') return grounds
  const { leaf, path } = evidence
  const certificates = (path?.certificates ?? [leaf]).map((each) => certificateGround(home, certificateId(each)))
  return [...certificates, ...(path === null ? [] : [anchorGround(home, path.anchor.sha256)]), ...grounds]
}

/** Some clients derive their key from the id as they spell it, others from its lower case. Made as they are asked for. */
function* derivedKeys({ id, registrationId }: Candidate, groups: readonly SymmetricGroup[]): Iterable<EnrolledKeys> {
  const spellings = new Set([registrationId, id])
  for (const { group, enrolled, keys } of groups) {
    for (const spelling of spellings) {
      const [primaryKey, secondaryKey] = [deriveDeviceKey(keys[0], spelling), deriveDeviceKey(keys[1], spelling)]
      yield { enrollment: group, enrolled, primaryKey, secondaryKey }
    }
  }
}
