import type { AnchorSet } from './anchor-set.ts'
import type { Certificate } from './certificate.ts'
import type { Profile, Purpose } from './certificate-rules.ts'
import { BudgetExceeded, DEFAULT_BUDGET, Spending } from './path-budget.ts'
import type { PathBudget } from './path-budget.ts'
import { PathSearch } from './path-search.ts'
import type { PolicyInputs } from './policies.ts'
import { SignatureVerifier } from './signature.ts'
import type { TrustError } from './trust-error.ts'
import { tooExpensive } from './search-refusals.ts'

export interface PathRequest {
  /** The certificate whose key the peer has proven to hold. It alone is authenticated by the result. */
  readonly leaf: Certificate
  /** What else the peer sent, in any order; the leaf or an anchor among them does no harm. */
  readonly intermediates: readonly Certificate[]
  readonly anchors: AnchorSet
  /** ms since the epoch. */
  readonly now: number
  readonly profile: Profile
  readonly purpose: Purpose
  readonly policies?: PolicyInputs
  /** Most intermediates that are not self-issued. Absent: only the CAs' own pathLenConstraint counts. */
  readonly maxIntermediates?: number
  /**
   * Called with each path that is otherwise good, leaf first; a refusal makes the search go on to the next path. Pure: it
   * decides by facts it already has.
   */
  readonly checkRevocation?: (path: readonly Certificate[]) => TrustError | undefined
  readonly budget?: Partial<PathBudget>
}

/** Held by this module alone: without it no VerifiedPath can be made, not even past the type checker. */
const seal = Symbol('verified')

/** A path that was verified. Whoever holds one may rely on it, up to notAfter and to revocation. */
export class VerifiedPath {
  readonly #certificates: readonly [Certificate, ...Certificate[]]
  /** Earliest end of validity on the path, ms since the epoch, inclusive. */
  readonly notAfter: number
  /** Certificate policies the path is valid for (RFC 5280 §6.1.6), in the anchor's terms. */
  readonly policies: readonly string[]

  constructor(key: typeof seal, [leaf, ...issuers]: readonly Certificate[], policies: readonly string[]) {
    if (key !== seal || leaf === undefined) throw new TypeError('a VerifiedPath comes from PathVerifier.verify alone')
    this.#certificates = [leaf, ...issuers]
    this.notAfter = Math.min(...this.#certificates.map((c) => c.notAfter))
    this.policies = policies
    Object.freeze(this.#certificates)
    Object.freeze(this)
  }

  /** Leaf first, anchor last. */
  get certificates(): readonly Certificate[] {
    return this.#certificates
  }

  get leaf(): Certificate {
    return this.#certificates[0]
  }

  get anchor(): Certificate {
    return this.#certificates.at(-1) ?? this.leaf
  }
}

/**
 * Verifies paths. Keeps decoded keys and good signatures of CAs between calls, `cacheSize` of each at most, and good
 * signatures of `leafCacheSize` leaves, none unless given. All else is judged each time.
 */
export class PathVerifier {
  readonly signatures: SignatureVerifier

  constructor({ cacheSize, leafCacheSize = 0 }: { readonly cacheSize: number; readonly leafCacheSize?: number }) {
    this.signatures = new SignatureVerifier(cacheSize, leafCacheSize)
  }

  /** Finds and verifies a path from the leaf to an anchor (RFC 5280 §6.1), or says why there is none. */
  verify(request: PathRequest): VerifiedPath | TrustError {
    const limits = { ...DEFAULT_BUDGET, ...request.budget }
    try {
      const found = new PathSearch(request, this.signatures, new Spending(limits)).run()
      return found.kind === 'found' ? new VerifiedPath(seal, found.path, found.policies) : found
    } catch (error) {
      if (error instanceof BudgetExceeded) return tooExpensive(request.leaf, error)
      throw error
    }
  }
}
