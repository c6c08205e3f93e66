import { hash } from 'node:crypto'
import { BoundedCache } from '@holdfast/pki'

/** Bounds of one memory: an entry takes about 200 bytes, a distinct rest of a chain at most 16 kB. */
export interface ChainLimits {
  readonly leaves: number
  /** Distinct sequences of certificates behind a leaf: devices of one maker share theirs. */
  readonly issuers: number
}

const PROVEN: ChainLimits = { leaves: 65_536, issuers: 1_024 }
const UNPROVEN: ChainLimits = { leaves: 1_024, issuers: 128 }

/** A chain as it was sent, and what names its parts here. */
export interface SentChain {
  /** DER, leaf first. What follows the leaf is one and the same object for all who sent the same bytes. */
  readonly certificates: readonly Uint8Array[]
  readonly leafDigest: string
  readonly issuersDigest: string
}

/** Of a client that sent no certificate. */
export const NO_CHAIN: SentChain = { certificates: [], leafDigest: '', issuersDigest: '' }

/**
 * What clients sent behind their leaf in the full handshake: a resumed session shows the leaf alone, and is judged by the
 * chain as it was sent. Chains of devices that authenticated are kept apart, so that strangers cannot push them out.
 */
export class SentChains {
  readonly #proven = new ChainMemory(PROVEN)
  readonly #unproven = new ChainMemory(UNPROVEN)

  /** After a full handshake. */
  remember(certificates: readonly Uint8Array[]): SentChain {
    const [leaf, ...sent] = certificates
    if (leaf === undefined) return NO_CHAIN
    const [leafDigest, issuersDigest] = [digestOf([leaf]), digestOf(sent)]
    const known = this.#proven.issuers(issuersDigest)
    const issuers = this.#unproven.put(leafDigest, issuersDigest, known ?? sent)
    return { certificates: [leaf, ...issuers], leafDigest, issuersDigest }
  }

  /** The client that sent it has authenticated. */
  prove({ certificates, leafDigest, issuersDigest }: SentChain): void {
    if (certificates.length > 0) this.#proven.put(leafDigest, issuersDigest, certificates.slice(1))
  }

  /** The chain that was sent with this leaf, or null when that is not known any more. */
  find(leaf: Uint8Array): SentChain | null {
    const leafDigest = digestOf([leaf])
    const found = this.#proven.get(leafDigest) ?? this.#unproven.get(leafDigest)
    return found === null ? null : { certificates: [leaf, ...found.issuers], leafDigest, ...found }
  }
}

/** The entry unused for longest goes first, more or less. */
export class ChainMemory {
  /** Digest of the leaf to the digest of what followed it. */
  readonly #leaves: BoundedCache<string>
  readonly #issuers: BoundedCache<readonly Uint8Array[]>

  constructor({ leaves, issuers }: ChainLimits) {
    this.#leaves = new BoundedCache(leaves)
    this.#issuers = new BoundedCache(issuers)
  }

  /** Returns the issuers as they are kept: those that were given, or the same bytes from an earlier time. */
  put(leafDigest: string, issuersDigest: string, issuers: readonly Uint8Array[]): readonly Uint8Array[] {
    const kept = this.#issuers.get(issuersDigest)
    this.#leaves.set(leafDigest, issuersDigest)
    if (kept === undefined) this.#issuers.set(issuersDigest, issuers)
    return kept ?? issuers
  }

  get(leafDigest: string): { readonly issuers: readonly Uint8Array[]; readonly issuersDigest: string } | null {
    const issuersDigest = this.#leaves.get(leafDigest)
    const issuers = issuersDigest === undefined ? undefined : this.#issuers.get(issuersDigest)
    return issuersDigest === undefined || issuers === undefined ? null : { issuers, issuersDigest }
  }

  issuers(issuersDigest: string): readonly Uint8Array[] | undefined {
    return this.#issuers.get(issuersDigest)
  }
}

/** DER says its own length, so that no two sequences of certificates read the same when joined. */
function digestOf(certificates: readonly Uint8Array[]): string {
  const [first] = certificates
  if (first === undefined) return ''
  return hash('sha256', certificates.length === 1 ? first : Buffer.concat(certificates), 'base64')
}
