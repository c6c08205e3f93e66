import { createHash } from 'node:crypto'
import { HubError } from '../errors.ts'
import { printable } from '../model/ids.ts'
import type { Clock, Randomness } from '../ports/clock.ts'

const LIFETIME_MS = 60 * 60 * 1000
const MAX_PENDING = 100

/** A dangerous act that one operator asks for and another one must approve. */
export interface Approval {
  readonly id: string
  readonly act: string
  /** Path with what it names. */
  readonly path: string
  readonly requestedBy: string
  readonly requestedAt: number
  readonly expires: number
  /** Who approved; null while it waits. */
  readonly approvedBy: string | null
}

export interface DangerousAct {
  readonly act: string
  readonly operator: string
  readonly method: string
  readonly path: string
  readonly body: unknown
}

/**
 * Dangerous acts that wait for a second person. What was asked is kept as a digest: the first person does it, once, by
 * asking for the very same again after the approval. Bounded, in memory: a start forgets what waited.
 */
export class Approvals {
  readonly #clock: Clock
  readonly #random: Randomness
  readonly #pending = new Map<string, Approval & { readonly digest: string }>()

  constructor({ clock, random }: { clock: Clock; random: Randomness }) {
    this.#clock = clock
    this.#random = random
  }

  list(): readonly Approval[] {
    this.#forgetOld()
    return [...this.#pending.values()].map(({ digest: _digest, ...approval }) => approval)
  }

  /** Uses up the approval of this act and returns who gave it; without one, the act is put down as waiting. */
  take(
    wanted: DangerousAct,
  ): { readonly approvedBy: string } | { readonly waiting: Approval; readonly isNew: boolean } {
    this.#forgetOld()
    const digest = digestOf(wanted)
    const known = [...this.#pending.values()].find((each) => each.digest === digest)
    if (known !== undefined) {
      if (known.approvedBy === null) return { waiting: known, isNew: false }
      this.#pending.delete(known.id)
      return { approvedBy: known.approvedBy }
    }
    if (this.#pending.size >= MAX_PENDING)
      throw new HubError('throttled', 'Too many acts wait for approval: have some denied.', { retryAfter: 60 })
    const { act, path, operator: requestedBy } = wanted
    const [id, requestedAt] = [Buffer.from(this.#random.bytes(6)).toString('hex'), this.#clock.now()]
    const approval = { id, act, path, requestedBy, requestedAt, expires: requestedAt + LIFETIME_MS, approvedBy: null }
    this.#pending.set(id, { ...approval, digest })
    return { waiting: approval, isNew: true }
  }

  approve(id: string, operator: string): Approval {
    const approval = this.#get(id)
    if (approval.requestedBy === operator)
      throw new HubError('forbidden', 'A second person must approve: nobody approves what he asked for himself.')
    const approved = { ...approval, approvedBy: operator }
    this.#pending.set(id, approved)
    const { digest: _digest, ...shown } = approved
    return shown
  }

  deny(id: string): void {
    this.#get(id)
    this.#pending.delete(id)
  }

  #get(id: string) {
    this.#forgetOld()
    const approval = this.#pending.get(id)
    if (approval === undefined)
      throw new HubError('operation-not-found', `Nothing waits for approval under '${printable(id)}'.`)
    return approval
  }

  #forgetOld(): void {
    const now = this.#clock.now()
    for (const [id, { expires }] of this.#pending) if (expires <= now) this.#pending.delete(id)
  }
}

function digestOf({ act, operator, method, path, body }: DangerousAct): string {
  const text = JSON.stringify([act, operator, method, path, body ?? null])
  return createHash('sha256').update(text, 'utf8').digest('hex')
}
