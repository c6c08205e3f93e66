import { setImmediate as turn } from 'node:timers/promises'
import { isTrustError, parseCertificate, ParseError, parseCrl } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import type { Log } from '../../log.ts'
import type { DeviceProvenance } from '../../model/device.ts'
import { anchorOf, certificateGround, certificateOf, enrollmentGround, enrollmentOf } from '../../model/ground.ts'
import type { Ground } from '../../model/ground.ts'
import { parseHubName } from '../../model/ids.ts'
import type { HubName } from '../../model/ids.ts'
import type { Revocation, SequencedRecord, StoredCrl } from '../../model/revocation.ts'
import type { Session } from '../../model/session.ts'
import type { Bus, Hint } from '../../ports/bus.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import type { Hubs } from '../hubs.ts'
import type { PathTrust } from '../revocation/path-trust.ts'
import { judgeEnrollment } from './provenance.ts'
import { RecentChanges } from '../recent-changes.ts'
import type { Sessions } from '../sessions/sessions.ts'
import type { TrustAnchors } from '../authorities/trust-anchors.ts'

/** A lost hint about CAs or enrollments is made up for after this time. */
const SWEEP_MS = 5_000
/** Sessions that are looked at again before others get their turn. */
const BATCH = 100

export interface SessionWatchParts {
  readonly sessions: Sessions
  readonly trust: PathTrust
  readonly anchors: TrustAnchors
  readonly hubs: Hubs
  readonly registry: Pick<Registry, 'authorities' | 'enrollments'>
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Log
}

/**
 * Closes live sessions whose ground is taken away: a certificate, CA or device revoked, a CA out of the register, an
 * enrollment disabled or deleted. Devices that change are watched by Sessions itself.
 */
export class SessionWatch {
  readonly #parts: SessionWatchParts
  readonly #unsubscribe: readonly (() => void)[]
  readonly #timer: NodeJS.Timeout
  readonly #changes = new RecentChanges()
  #revisions = ''
  #closed = false

  constructor(parts: SessionWatchParts) {
    this.#parts = parts
    this.#unsubscribe = [
      parts.trust.revocations.onRecord((record) => this.#heedRecord(record)),
      parts.bus.subscribe((hint) => this.#heedHint(hint)),
    ]
    parts.sessions.onChange((session, change) => {
      if (change === 'connected') this.#heedOpened(session)
    })
    parts.trust.revocations.known.holdWhile((id) =>
      parts.hubs.all().some(({ name }) => parts.sessions.on(certificateGround(name, id)).length > 0),
    )
    this.#timer = setInterval(() => this.#after(this.sweep()), SWEEP_MS).unref()
  }

  close(): void {
    this.#closed = true
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    clearInterval(this.#timer)
  }

  #heedRecord(record: SequencedRecord): number {
    if (record.kind === 'crl') this.#after(this.#recheckUnder(record))
    return record.kind === 'revocation' && record.liftedAt === null ? this.#closeRevoked(record) : 0
  }

  #closeRevoked(row: Revocation): number {
    const { sessions, trust } = this.#parts
    let closed = 0
    for (const ground of trust.revocations.groundsOf(row.hub, row.target)) closed += sessions.closeOn(ground, 'revoked')
    if (row.target.kind === 'thumbprint') closed += this.#closeByThumbprint(row.hub, row.target.thumbprint)
    return closed
  }

  /** Sessions are not kept by thumbprint: an operator's rare question is answered by looking at each leaf. */
  #closeByThumbprint(hub: HubName, thumbprint: string): number {
    const { sessions } = this.#parts
    const isMeant = (session: Session): boolean => {
      const leaf = leafOf(session)
      return leaf !== null && [leaf.sha1, leaf.sha256].includes(thumbprint)
    }
    const meant = sessions.of(hub).filter(isMeant)
    return meant.filter((session) => sessions.closeOne(session, 'revoked')).length
  }

  /** A new list of a CA: whoever rests on the CA is judged again. */
  async #recheckUnder({ hub, certificate }: StoredCrl): Promise<void> {
    const { issuer } = parseCrl(certificate)
    const { sessions, trust } = this.#parts
    const authorities = [...trust.revocations.known.matching(({ subject }) => subject.key === issuer.key)]
    const resting = authorities.flatMap(([id]) => sessions.on(certificateGround(hub, id)))
    for (let start = 0; start < resting.length && !this.#closed; start += BATCH) {
      for (const session of resting.slice(start, start + BATCH)) this.#recheck(hub, session)
      await turn()
    }
  }

  #recheck(hub: HubName, session: Session): void {
    const { clock, sessions, trust } = this.#parts
    const leaf = leafOf(session)
    if (leaf === null) return
    const ids = session.grounds.flatMap((ground) => certificateOf(ground, hub) ?? [])
    const error = trust.judge(hub, [leaf, ...(trust.authoritiesOf(leaf, ids.slice(1)) ?? [])], clock.now())
    // A list that came late makes nobody worse than he was: only who is on it goes.
    if (error !== undefined && isTrustError(error) && error.rule === 'revoked') sessions.closeOne(session, 'revoked')
  }

  #heedHint(hint: Hint): void {
    if (hint.kind === 'authorities-changed') {
      this.#noteChange(anchorsOf(hint.hub))
      this.#after(this.#closeUnanchored(hint.hub))
    }
    if (hint.kind === 'enrollments-changed') {
      this.#noteChange(hint.enrollment === undefined ? ENROLLMENTS : enrollmentGround(hint.enrollment))
      this.#after(this.#closeUnenrolled(hint.enrollment))
    }
  }

  #noteChange(what: string): void {
    this.#changes.add(what, this.#parts.clock.now())
  }

  /** It was let in a moment ago: a change that came in between found no session to close. */
  #heedOpened(session: Session): void {
    this.#changes.forgetBefore(this.#parts.clock.now())
    const inDoubt = session.grounds.filter((ground) => this.#hasChanged(ground))
    if (inDoubt.length > 0) this.#after(this.#closeIfLost(session, inDoubt))
  }

  #hasChanged(ground: Ground): boolean {
    const anchor = anchorOf(ground)
    if (anchor !== null) return this.#changes.has(anchorsOf(anchor.hub))
    return enrollmentOf(ground) !== null && (this.#changes.has(ground) || this.#changes.has(ENROLLMENTS))
  }

  async #closeIfLost(session: Session, grounds: readonly Ground[]): Promise<void> {
    const { sessions } = this.#parts
    for (const ground of grounds) if (await this.#isLost(ground)) sessions.closeOne(session, 'revoked')
  }

  async #isLost(ground: Ground): Promise<boolean> {
    const { anchors, registry } = this.#parts
    const [anchor, enrollment] = [anchorOf(ground), enrollmentOf(ground)]
    if (anchor !== null) return !(await anchors.idsOf(parseHubName(anchor.hub))).has(anchor.certificateId)
    return enrollment !== null && (await judgeEnrollment(enrollment, registry)) !== null
  }

  /** The CAs at the end of some session's path that the hub's register does not hold, or holds unproven. */
  async #closeUnanchored(hub: HubName): Promise<void> {
    const { sessions, anchors } = this.#parts
    const verified = await anchors.idsOf(hub)
    for (const ground of sessions.grounds()) {
      const anchor = anchorOf(ground)
      if (anchor?.hub === hub && !verified.has(anchor.certificateId)) sessions.closeOn(ground, 'revoked')
    }
  }

  async #closeUnenrolled(changed?: DeviceProvenance['enrollment']): Promise<void> {
    const { sessions, registry } = this.#parts
    const isMeant = (ground: Ground): boolean => {
      const enrollment = enrollmentOf(ground)
      if (enrollment === null || changed === undefined) return enrollment !== null
      return enrollment.kind === changed.kind && enrollment.id === changed.id
    }
    for (const ground of sessions.grounds().filter(isMeant)) {
      const enrollment = enrollmentOf(ground)
      if (enrollment !== null && (await judgeEnrollment(enrollment, registry)) !== null)
        sessions.closeOn(ground, 'revoked')
    }
  }

  /** Looks again at CAs and groups when a write to them came with no hint. Called by the timer. */
  async sweep(): Promise<void> {
    const { registry, hubs } = this.#parts
    const revisions = await Promise.all([registry.authorities.revision(), registry.enrollments.groupRevision()])
    if (revisions.join() === this.#revisions) return
    this.#revisions = revisions.join()
    this.#noteChange(ENROLLMENTS)
    for (const { name } of hubs.all()) this.#noteChange(anchorsOf(name))
    for (const { name } of hubs.all()) await this.#closeUnanchored(name)
    await this.#closeUnenrolled()
  }

  #after(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!this.#closed) this.#parts.log.error({ err: error }, 'sessions could not be checked after a change')
    })
  }
}

/** Any of them. */
const ENROLLMENTS = 'enrollments'

/** The register of CAs of a hub. */
function anchorsOf(hub: string): string {
  return `anchors/${hub}`
}

/** What the client showed in this connection; null for a client without a certificate. */
function leafOf({ peer, path }: Session): Certificate | null {
  const [der] = peer.chain
  if (der === undefined || path.length === 0) return null
  try {
    return parseCertificate(der)
  } catch (error) {
    // It was read once, to let the session in.
    if (error instanceof ParseError) return null
    throw error
  }
}
