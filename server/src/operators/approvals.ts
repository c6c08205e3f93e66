import { HubError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Approval } from '../model/approval.ts'
import { printable } from '../model/ids.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { ApprovalStore } from '../ports/registry.ts'

const LIFETIME_MS = 60 * 60 * 1000
const MAX_PENDING = 1_000
/** Of one who asks, so that nobody keeps the others from asking for what must not wait, such as the revocation of a CA. */
const MAX_OF_ONE = 100
const SWEEP_MS = 60_000

/** What is asked for, before it is known whether somebody has approved it. */
export type Wanted = Pick<Approval, 'act' | 'path' | 'cutsOff' | 'requestedBy' | 'request' | 'state'>

export type Taken =
  | { readonly kind: 'approved'; readonly approval: Approval & { readonly approvedBy: string } }
  /** `replaced`: the same was asked for of another state, and is not asked for any more. */
  | {
      readonly kind: 'waiting'
      readonly approval: Approval
      readonly isNew: boolean
      readonly replaced: Approval | null
    }

export interface ApprovalsParts {
  readonly store: ApprovalStore
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  /** Told of each that nobody used in time. */
  readonly onExpired: (approval: Approval) => void
}

/**
 * Dangerous acts that wait for a second person. What was asked is kept as a digest: the first person does it, once, by
 * asking for the very same again after the approval. All of them are in the registry, and held in memory.
 */
export class Approvals {
  readonly #parts: ApprovalsParts
  /** At most MAX_PENDING, in the order of asking. */
  readonly #pending: Map<string, Approval>
  readonly #timer: NodeJS.Timeout
  #sweeping: Promise<unknown> = Promise.resolve()

  static async open(parts: ApprovalsParts): Promise<Approvals> {
    return new Approvals(parts, await parts.store.list())
  }

  private constructor(parts: ApprovalsParts, kept: readonly Approval[]) {
    this.#parts = parts
    this.#pending = new Map(kept.map((approval) => [approval.id, approval]))
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS).unref()
    this.#sweep()
  }

  list(): readonly Approval[] {
    this.#sweep()
    return [...this.#pending.values()]
  }

  /** Rejects with `operation-not-found`. */
  get(id: string): Approval {
    this.#sweep()
    const approval = this.#pending.get(id)
    if (approval === undefined)
      throw new HubError('operation-not-found', `Nothing waits for approval under '${printable(id)}'.`)
    return approval
  }

  /** Uses up the approval of this act; without one the act is put down as waiting. Rejects with `throttled` when full. */
  async take(wanted: Wanted, stands: (approval: Approval) => boolean): Promise<Taken> {
    this.#sweep()
    const known = [...this.#pending.values()].find((each) => isSame(each, wanted))
    const isGood = known !== undefined && known.state === wanted.state && stands(known)
    if (known !== undefined && isGood && known.approvedBy === null)
      return { kind: 'waiting', approval: known, isNew: false, replaced: null }
    if (known !== undefined) await this.#forget(known)
    if (known !== undefined && isGood)
      return { kind: 'approved', approval: { ...known, approvedBy: known.approvedBy ?? '' } }
    return { kind: 'waiting', approval: await this.#ask(wanted), isNew: true, replaced: known ?? null }
  }

  async approve(id: string, by: string): Promise<Approval> {
    const waiting = this.get(id)
    const approved = { ...waiting, approvedBy: by }
    await this.#parts.store.put(approved)
    // Denied or expired while the disk was at it.
    if (!this.#pending.has(id)) {
      await this.#parts.store.delete(id)
      return this.get(id)
    }
    this.#pending.set(id, approved)
    return approved
  }

  async deny(id: string): Promise<Approval> {
    const approval = this.get(id)
    await this.#forget(approval)
    return approval
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#sweeping
  }

  async #ask(wanted: Wanted): Promise<Approval> {
    const { store, clock, random } = this.#parts
    const own = [...this.#pending.values()].filter(({ requestedBy: by }) => by === wanted.requestedBy)
    if (this.#pending.size >= MAX_PENDING || own.length >= MAX_OF_ONE)
      throw new HubError('throttled', 'Too many acts wait for approval: have some denied.', { retryAfter: 60 })
    const [id, requestedAt] = [Buffer.from(random.bytes(6)).toString('hex'), clock.now()]
    const { act, path, cutsOff, requestedBy, request, state } = wanted
    const asked = { id, act, path, cutsOff, requestedBy, request, state }
    const approval = { ...asked, requestedAt, expires: requestedAt + LIFETIME_MS, approvedBy: null }
    // At once, so that the same request beside this one finds it.
    this.#pending.set(id, approval)
    try {
      await store.put(approval)
    } catch (error) {
      this.#pending.delete(id)
      throw error
    }
    return approval
  }

  /** Out of memory first: nobody uses it a second time while the disk is at it. */
  async #forget({ id }: Approval): Promise<void> {
    this.#pending.delete(id)
    await this.#parts.store.delete(id)
  }

  #sweep(): void {
    const { clock, log, onExpired } = this.#parts
    const now = clock.now()
    for (const approval of this.#pending.values()) {
      if (approval.expires > now) continue
      const forgotten = this.#forget(approval).catch((error: unknown) => {
        log.error({ err: error, approval: approval.id }, 'an expired approval could not be deleted; a start does it')
      })
      this.#sweeping = Promise.all([this.#sweeping, forgotten])
      onExpired(approval)
    }
  }
}

function isSame(known: Approval, { act, requestedBy, request }: Wanted): boolean {
  return known.act === act && known.requestedBy === requestedBy && known.request === request
}
