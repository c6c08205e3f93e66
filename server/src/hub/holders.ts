import type { Log } from '../log.ts'
import type { Ground } from '../model/ground.ts'
import { subjectOf } from '../model/ground.ts'
import type { CloseReason } from '../model/session.ts'
import type { Clock } from '../ports/clock.ts'
import { Expiries } from './expiries.ts'

/** Holders that ended together and leave the indexes before others get their turn. */
const BATCH = 100
/** Expiry is watched in whole seconds. */
const TICK_MS = 1_000

/** What a door says of somebody it lets in, besides who it is. */
export interface Verdict {
  /** Whatever it rests on: losing one of them voids it. */
  readonly grounds: readonly Ground[]
  /** ms: when what it rests on ends; null when it does not. */
  readonly expiresAt: number | null
  /** `Holders.moment` when the judgement began. */
  readonly asOf: number
}

export type LossReason = Extract<CloseReason, 'revoked' | 'credential-expired'>

/** A session, a connection or a waiting request that goes on by a verdict after the door gave it. */
export interface Holder extends Verdict {
  /** The certificate (DER) that was shown; absent when none was, or none counted. */
  readonly leaf?: Uint8Array | undefined
  /** The verdict is void: nothing may be done by it from this call on. Called once at most, and does not throw. */
  lost(reason: LossReason): void
}

/**
 * Who goes on by which verdict, so that trust that is lost ends whatever rests on it, in every protocol, at once: who holds
 * a verdict says so here and is told. What is used in the turn that judged it, and each request over HTTP, holds none.
 *
 * Whoever finds a ground gone calls `end`: TrustWatch for all that the hub knows, the operators for their log-ins. As many
 * entries as there are connections, whose number the listeners bound, with a few grounds each.
 */
export class Holders {
  /** One alone stands by itself: most grounds are those of one device. */
  readonly #byGround = new Map<Ground, Holder | Set<Holder>>()
  readonly #bySubject = new Map<string, Set<Ground>>()
  readonly #held = new Set<Holder>()
  readonly #expiries = new Expiries<Holder>()
  readonly #clock: Clock
  readonly #log: Log
  readonly #timer: NodeJS.Timeout
  /** Ended, and still to be taken out of the indexes. */
  #ended: Holder[] = []
  #tidying: NodeJS.Immediate | null = null
  #moment = 0
  #onDoubt: (holder: Holder) => void = () => {}

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock
    this.#log = log
    this.#timer = setInterval(() => this.endExpired(), TICK_MS).unref()
  }

  /** Grows whenever something is lost or in question. */
  get moment(): number {
    return this.#moment
  }

  /** A judgement that is under way may rest on what is looked at from now on: it comes in doubt. */
  advance(): void {
    this.#moment += 1
  }

  /** Called with whoever holds a verdict that is older than the last `advance`, and may have missed the `end` of it. */
  onDoubt(listener: (holder: Holder) => void): void {
    this.#onDoubt = listener
  }

  /** It may be lost before this returns. */
  hold(holder: Holder): void {
    this.#held.add(holder)
    for (const ground of holder.grounds) this.#addTo(ground, holder)
    this.#expiries.add(holder)
    if (holder.asOf !== this.#moment) this.#onDoubt(holder)
  }

  /** It uses the verdict no more. False when it was lost or released before. */
  release(holder: Holder): boolean {
    if (!this.#held.delete(holder)) return false
    this.#removeFromIndexes(holder)
    return true
  }

  /** Ends everything that rests on this; returns how much. */
  end(ground: Ground, reason: LossReason): number {
    let ended = 0
    for (const holder of this.on(ground)) if (this.endOne(holder, reason)) ended += 1
    return ended
  }

  /** False when it held its verdict no more. */
  endOne(holder: Holder, reason: LossReason): boolean {
    if (!this.#held.delete(holder)) return false
    // Of thousands that end at once none waits for the indexes.
    this.#ended.push(holder)
    this.#tidying ??= setImmediate(() => this.#tidyUp(BATCH))
    try {
      holder.lost(reason)
    } catch (error) {
      // One that fails must not keep the others.
      this.#log.error({ err: error }, 'something that lost its trust could not be ended')
    }
    return true
  }

  /** Ends what has expired by now; the timer calls it each second. */
  endExpired(): void {
    for (const holder of this.#expiries.due(this.#clock.now())) this.endOne(holder, 'credential-expired')
  }

  /** As of now. */
  on(ground: Ground): readonly Holder[] {
    const resting = this.#byGround.get(ground)
    if (resting === undefined) return []
    return (resting instanceof Set ? [...resting] : [resting]).filter((holder) => this.#held.has(holder))
  }

  isHeld(ground: Ground): boolean {
    const resting = this.#byGround.get(ground)
    if (!(resting instanceof Set)) return resting !== undefined && this.#held.has(resting)
    for (const holder of resting) if (this.#held.has(holder)) return true
    return false
  }

  all(): Iterable<Holder> {
    return this.#held
  }

  /** What of a subject somebody rests on; see `subjects`. As of now. */
  groundsOf(subject: string): readonly Ground[] {
    return [...(this.#bySubject.get(subject) ?? [])]
  }

  /** Everything of which there is more than one for a subject. As of now. */
  sharedGrounds(): readonly Ground[] {
    return [...this.#bySubject.values()].flatMap((grounds) => [...grounds])
  }

  close(): void {
    clearInterval(this.#timer)
    if (this.#tidying !== null) clearImmediate(this.#tidying)
  }

  #tidyUp(most: number): void {
    for (const holder of this.#ended.splice(0, most)) this.#removeFromIndexes(holder)
    this.#tidying = this.#ended.length === 0 ? null : setImmediate(() => this.#tidyUp(BATCH))
  }

  #removeFromIndexes(holder: Holder): void {
    for (const ground of holder.grounds) this.#removeFrom(ground, holder)
    this.#expiries.remove(holder)
  }

  #addTo(ground: Ground, holder: Holder): void {
    const resting = this.#byGround.get(ground)
    if (resting === undefined) {
      this.#byGround.set(ground, holder)
      const subject = subjectOf(ground)
      if (subject !== null) this.#bySubject.set(subject, (this.#bySubject.get(subject) ?? new Set()).add(ground))
    } else if (resting instanceof Set) resting.add(holder)
    else if (resting !== holder) this.#byGround.set(ground, new Set([resting, holder]))
  }

  #removeFrom(ground: Ground, holder: Holder): void {
    const resting = this.#byGround.get(ground)
    if (resting instanceof Set) {
      resting.delete(holder)
      if (resting.size > 0) return
    } else if (resting !== holder) return
    this.#byGround.delete(ground)
    const subject = subjectOf(ground)
    if (subject === null) return
    const grounds = this.#bySubject.get(subject)
    grounds?.delete(ground)
    if (grounds?.size === 0) this.#bySubject.delete(subject)
  }
}
