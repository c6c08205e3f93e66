import { setImmediate as turn } from 'node:timers/promises'
import { isTrustError, parseCertificate, ParseError, parseCrl } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import type { Log } from '../../log.ts'
import { certificateGround, certificateOf, readSharedGround, subjects } from '../../model/ground.ts'
import type { Ground } from '../../model/ground.ts'
import type { HubName } from '../../model/ids.ts'
import type { Revocation, SequencedRecord, StoredCrl } from '../../model/revocation.ts'
import type { Bus, Hint } from '../../ports/bus.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import type { TrustAnchors } from '../authorities/trust-anchors.ts'
import { isFinding } from '../findings/finding.ts'
import type { Holder, Holders } from '../holders.ts'
import type { Hubs } from '../hubs.ts'
import type { PathTrust } from '../revocation/path-trust.ts'
import { judgeEnrollment } from './enrollment-standing.ts'
import { policyKeyStands } from './policy-token.ts'

/** A lost hint is made up for after this time. */
const SWEEP_MS = 5_000
/** Holders that are judged again before others get their turn. */
const BATCH = 100

export interface TrustWatchParts {
  readonly holders: Holders
  readonly trust: PathTrust
  readonly anchors: TrustAnchors
  readonly hubs: Hubs
  readonly registry: Pick<Registry, 'authorities' | 'enrollments' | 'policies'>
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Log
}

/**
 * Finds out which grounds are gone and ends whatever rests on them: a certificate, CA or device revoked, a CA out of the
 * register, an enrollment disabled, deleted or given another credential, a policy's key renewed.
 */
export class TrustWatch {
  readonly #parts: TrustWatchParts
  readonly #unsubscribe: readonly (() => void)[]
  readonly #timer: NodeJS.Timeout
  #revisions = ''
  #closed = false

  constructor(parts: TrustWatchParts) {
    const { bus, holders, hubs, trust } = parts
    this.#parts = parts
    this.#unsubscribe = [
      trust.revocations.onRecord((record) => this.#heedRecord(record)),
      bus.subscribe((hint) => this.#heedHint(hint)),
    ]
    holders.onDoubt((holder) => this.#heedDoubt(holder))
    trust.revocations.known.holdWhile((id) =>
      hubs.all().some(({ name }) => holders.isHeld(certificateGround(name, id))),
    )
    this.#timer = setInterval(() => this.#after(this.sweep()), SWEEP_MS).unref()
  }

  close(): void {
    this.#closed = true
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    clearInterval(this.#timer)
  }

  #heedRecord(record: SequencedRecord): number {
    if (record.kind === 'crl') {
      this.#parts.holders.advance()
      this.#after(this.#recheckUnder(record))
    }
    return record.kind === 'revocation' && record.liftedAt === null ? this.#endRevoked(record) : 0
  }

  #endRevoked({ hub, target }: Revocation): number {
    const { holders, trust } = this.#parts
    holders.advance()
    let ended = 0
    for (const ground of trust.revocations.groundsOf(hub, target)) ended += holders.end(ground, 'revoked')
    return target.kind === 'thumbprint' ? ended + this.#endByThumbprint(hub, target.thumbprint) : ended
  }

  /** Nobody is kept by thumbprint: an operator's rare question is answered by looking at each leaf. */
  #endByThumbprint(hub: HubName, thumbprint: string): number {
    const { holders } = this.#parts
    const isMeant = (holder: Holder): boolean => {
      const leaf = leafOf(holder)
      if (leaf === null || ![leaf.sha1, leaf.sha256].includes(thumbprint)) return false
      return holder.grounds.some((ground) => certificateOf(ground, hub) !== null)
    }
    return [...holders.all()].filter(isMeant).filter((holder) => holders.endOne(holder, 'revoked')).length
  }

  /** A new list of a CA: whoever rests on the CA is judged again. */
  async #recheckUnder({ hub, certificate }: StoredCrl): Promise<void> {
    const { issuer } = parseCrl(certificate)
    const { holders, trust } = this.#parts
    const authorities = [...trust.revocations.known.matching(({ subject }) => subject.key === issuer.key)]
    const resting = authorities.flatMap(([id]) => holders.on(certificateGround(hub, id)))
    for (let start = 0; start < resting.length && !this.#closed; start += BATCH) {
      for (const holder of resting.slice(start, start + BATCH)) this.#recheck(hub, holder)
      await turn()
    }
  }

  #recheck(hub: HubName, holder: Holder): void {
    const { clock, holders, trust } = this.#parts
    const leaf = leafOf(holder)
    if (leaf === null) return
    const [, ...ids] = holder.grounds.flatMap((ground) => certificateOf(ground, hub) ?? [])
    // The CAs of two paths, of now and of its registration, need not make one.
    const authorities = trust.authoritiesOf(leaf, ids) ?? ids.flatMap((id) => trust.revocations.known.withId(id))
    const error = trust.judge(hub, [leaf, ...authorities], clock.now())
    // A list that came late makes nobody worse than he was: only who is on it goes.
    if (error !== undefined && isTrustError(error) && error.rule === 'revoked') holders.endOne(holder, 'revoked')
  }

  #heedHint(hint: Hint): void {
    const { holders } = this.#parts
    switch (hint.kind) {
      case 'authorities-changed':
        return this.#question(() => {
          const anchors = holders.groundsOf(subjects.anchors(hint.hub))
          // A group may name a CA as it is registered.
          return [...anchors, ...holders.sharedGrounds().filter((ground) => ground.startsWith('enrollment/group/'))]
        })
      case 'enrollments-changed': {
        const { enrollment } = hint
        return this.#question(() =>
          enrollment === undefined
            ? holders.sharedGrounds().filter((ground) => ground.startsWith('enrollment/'))
            : holders.groundsOf(subjects.enrollment(enrollment)),
        )
      }
      case 'policy-changed':
        return this.#question(() => holders.groundsOf(subjects.policy(hint.owner, hint.name)))
      default:
    }
  }

  /** These may be gone: what rests on them ends if they are, and so does what is judged meanwhile. */
  #question(grounds: () => readonly Ground[]): void {
    this.#parts.holders.advance()
    this.#after(this.#endLost(grounds()))
  }

  async #endLost(grounds: readonly Ground[]): Promise<void> {
    for (const ground of grounds) if (!(await this.#stands(ground))) this.#parts.holders.end(ground, 'revoked')
  }

  /** It was judged before a change and came to hold after it: whatever ended then found nothing to end. */
  #heedDoubt(holder: Holder): void {
    const { holders, hubs, trust } = this.#parts
    if (holder.grounds.some((ground) => trust.revocations.isCut(ground))) {
      holders.endOne(holder, 'revoked')
      return
    }
    for (const { name } of hubs.all()) {
      if (holder.grounds.some((ground) => certificateOf(ground, name) !== null)) this.#recheck(name, holder)
    }
    this.#after(this.#endIfLost(holder))
  }

  async #endIfLost(holder: Holder): Promise<void> {
    for (const ground of holder.grounds) {
      if (!(await this.#stands(ground))) this.#parts.holders.endOne(holder, 'revoked')
    }
  }

  /** Of a ground that is not shared others know: whoever takes it away ends it by its name. */
  async #stands(ground: Ground): Promise<boolean> {
    const { anchors, hubs, registry } = this.#parts
    const shared = readSharedGround(ground)
    switch (shared?.kind) {
      case 'anchor':
        return (await anchors.digestsOf(shared.hub)).has(shared.sha256)
      case 'enrollment': {
        const evidence = shared.proof === '' ? [] : [{ proof: shared.proof }]
        return !isFinding(await judgeEnrollment(shared.enrollment, evidence, { registry, home: hubs.home.name }))
      }
      case 'policy':
        return policyKeyStands(shared, registry.policies)
      default:
        return true
    }
  }

  /** Looks again at what was written with no hint. Called by the timer. */
  async sweep(): Promise<void> {
    const { registry, holders } = this.#parts
    const known = await Promise.all([registry.authorities.revision(), registry.enrollments.groupRevision()])
    const revisions = known.join()
    const isChanged = revisions !== this.#revisions
    if (isChanged) holders.advance()
    // Policies have no revision, and of their keys only a few are in use.
    const grounds = holders.sharedGrounds().filter((ground) => isChanged || ground.startsWith('policy/'))
    await this.#endLost(grounds)
    this.#revisions = revisions
  }

  #after(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!this.#closed) this.#parts.log.error({ err: error }, 'live connections could not be judged again')
    })
  }
}

function leafOf({ leaf }: Holder): Certificate | null {
  if (leaf === undefined) return null
  try {
    return parseCertificate(leaf)
  } catch (error) {
    // It was read once, when it was judged.
    if (error instanceof ParseError) return null
    throw error
  }
}
