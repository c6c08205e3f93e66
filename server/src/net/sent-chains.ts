import { hash } from 'node:crypto'

/** Bounds of one memory: an entry takes about 200 bytes, a distinct rest of a chain at most 16 kB. */
export interface ChainLimits {
  readonly leaves: number
  /** Distinct sequences of certificates behind a leaf: devices of one maker share theirs. */
  readonly issuers: number
}

const PROVEN: ChainLimits = { leaves: 65_536, issuers: 1_024 }
const UNPROVEN: ChainLimits = { leaves: 1_024, issuers: 128 }

/**
 * What clients sent behind their leaf in the full handshake: a resumed session shows the leaf alone, and is judged by the
 * chain as it was sent. Chains of devices that authenticated are kept apart, so that strangers cannot push them out.
 */
export class SentChains {
  readonly #proven = new ChainMemory(PROVEN)
  readonly #unproven = new ChainMemory(UNPROVEN)

  /** After a full handshake. */
  remember(chain: readonly Uint8Array[]): void {
    const [leaf, ...issuers] = chain
    if (leaf !== undefined) this.#unproven.put(digestOf([leaf]), issuers)
  }

  /** The client that sent it has authenticated. */
  prove(chain: readonly Uint8Array[]): void {
    const [leaf, ...issuers] = chain
    if (leaf !== undefined) this.#proven.put(digestOf([leaf]), issuers)
  }

  /** The chain that was sent with this leaf, or null when that is not known any more. */
  find(leaf: Uint8Array): readonly Uint8Array[] | null {
    const key = digestOf([leaf])
    const issuers = this.#proven.get(key) ?? this.#unproven.get(key)
    return issuers === null ? null : [leaf, ...issuers]
  }
}

/** In order of use; the one unused for longest goes first. */
export class ChainMemory {
  readonly #limits: ChainLimits
  /** Digest of the leaf to the digest of what followed it. */
  readonly #leaves = new Map<string, string>()
  readonly #issuers = new Map<string, readonly Uint8Array[]>()

  constructor(limits: ChainLimits) {
    this.#limits = limits
  }

  put(leaf: string, issuers: readonly Uint8Array[]): void {
    const rest = digestOf(issuers)
    use(this.#leaves, leaf, rest, this.#limits.leaves)
    use(this.#issuers, rest, this.#issuers.get(rest) ?? issuers, this.#limits.issuers)
  }

  get(leaf: string): readonly Uint8Array[] | null {
    const rest = this.#leaves.get(leaf)
    return (rest === undefined ? undefined : this.#issuers.get(rest)) ?? null
  }
}

function use<V>(map: Map<string, V>, key: string, value: V, limit: number): void {
  map.delete(key)
  const [longestUnused] = map.keys()
  if (map.size >= limit && longestUnused !== undefined) map.delete(longestUnused)
  map.set(key, value)
}

/** DER says its own length, so that no two sequences of certificates read the same when joined. */
function digestOf(certificates: readonly Uint8Array[]): string {
  const [first] = certificates
  if (first === undefined) return ''
  return hash('sha256', certificates.length === 1 ? first : Buffer.concat(certificates), 'base64')
}
