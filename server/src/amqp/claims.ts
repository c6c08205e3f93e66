import { coversPath } from '../hub/door/sas-token.ts'
import { HubError } from '../errors.ts'
import type { HubName } from '../model/ids.ts'

/** A right to read, proven by a token. */
export interface Claim {
  /** Name of the stream. */
  readonly hub: HubName
  /** Path of the audience, see `pathSegments`. */
  readonly path: readonly string[]
  /** ms since the epoch. */
  readonly expiresAt: number
  /** Judges the token again; rejects with HubError when it proves nothing any more. */
  readonly judge: () => Promise<unknown>
}

/** One connection needs three: the entity's management, and its partitions one by one or the entity as a whole. */
const MAX_CLAIMS = 64

/** The token-proven rights of one connection. A renewed token replaces the one for the same audience. */
export class Claims {
  readonly #byPath = new Map<string, Claim>()

  /** False when the connection already holds as many as it may. */
  add(claim: Claim): boolean {
    const key = claim.path.join('/').toLowerCase()
    if (!this.#byPath.has(key) && this.#byPath.size >= MAX_CLAIMS) return false
    this.#byPath.set(key, claim)
    return true
  }

  /** The stream that a path may be read from, or null when no live token covers it. */
  hubFor(path: readonly string[], now: number): HubName | null {
    for (const claim of this.#byPath.values())
      if (now < claim.expiresAt && coversPath(claim.path, path, 'any-case')) return claim.hub
    return null
  }

  dropExpired(now: number): void {
    for (const [key, claim] of this.#byPath) if (now >= claim.expiresAt) this.#byPath.delete(key)
  }

  /** Judges every token again, so that a policy's renewed key ends what the old one opened. */
  async dropLost(): Promise<void> {
    for (const [key, claim] of this.#byPath) {
      try {
        await claim.judge()
      } catch (error) {
        if (!(error instanceof HubError)) throw error
        // It may have been replaced by a better one meanwhile.
        if (this.#byPath.get(key) === claim) this.#byPath.delete(key)
      }
    }
  }

  /** When the next claim runs out; null when there is none. */
  nextExpiry(): number | null {
    const times = [...this.#byPath.values()].map(({ expiresAt }) => expiresAt)
    return times.length === 0 ? null : Math.min(...times)
  }
}
