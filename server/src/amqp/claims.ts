import { coversPath } from '../hub/door/sas-token.ts'
import type { Holder, Holders, LossReason, Verdict } from '../hub/holders.ts'
import type { HubName } from '../model/ids.ts'

/** A right to read, proven by a token. */
export interface Claim extends Verdict {
  /** Name of the stream. */
  readonly hub: HubName
  /** Path of the audience, see `pathSegments`. */
  readonly path: readonly string[]
}

/** One connection needs three: the entity's management, and its partitions one by one or the entity as a whole. */
const MAX_CLAIMS = 64

/** The token-proven rights of one connection. A renewed token replaces the one for the same audience. */
export class Claims {
  readonly #byPath = new Map<string, { readonly claim: Claim; readonly holder: Holder }>()
  readonly #holders: Pick<Holders, 'hold' | 'release'>
  readonly #onLost: (reason: LossReason) => void
  #isClosed = false

  /** `onLost` is called whenever a claim has gone. */
  constructor(holders: Pick<Holders, 'hold' | 'release'>, onLost: (reason: LossReason) => void) {
    this.#holders = holders
    this.#onLost = onLost
  }

  get isEmpty(): boolean {
    return this.#byPath.size === 0
  }

  /** False when the connection already holds as many as it may, or is gone. */
  add(claim: Claim): boolean {
    const key = claim.path.join('/').toLowerCase()
    const replaced = this.#byPath.get(key)
    if (this.#isClosed || (replaced === undefined && this.#byPath.size >= MAX_CLAIMS)) return false
    if (replaced !== undefined) this.#holders.release(replaced.holder)
    const { grounds, expiresAt, asOf } = claim
    const holder: Holder = { grounds, expiresAt, asOf, lost: (reason) => this.#lost(key, reason) }
    this.#byPath.set(key, { claim, holder })
    this.#holders.hold(holder)
    return true
  }

  /** The stream that a path may be read from, or null when no live token covers it. */
  hubFor(path: readonly string[], now: number): HubName | null {
    for (const { claim } of this.#byPath.values()) {
      const isLive = claim.expiresAt === null || now < claim.expiresAt
      if (isLive && coversPath(claim.path, path, 'any-case')) return claim.hub
    }
    return null
  }

  close(): void {
    this.#isClosed = true
    for (const { holder } of this.#byPath.values()) this.#holders.release(holder)
    this.#byPath.clear()
  }

  #lost(key: string, reason: LossReason): void {
    this.#byPath.delete(key)
    this.#onLost(reason)
  }
}
