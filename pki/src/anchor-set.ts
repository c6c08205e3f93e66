import type { Certificate } from './certificate.ts'
import { sameBytes } from './certificate.ts'
import type { Name } from './name.ts'

/**
 * Trust anchors, found by subject: the cost of a lookup does not grow with their number. An anchor is whatever its
 * owner registered, a root or an intermediate. Its bound is the caller's register of CAs.
 */
export class AnchorSet {
  readonly #bySubject = new Map<string, readonly Certificate[]>()
  #size = 0

  constructor(anchors: Iterable<Certificate> = []) {
    for (const anchor of anchors) this.add(anchor)
  }

  get size(): number {
    return this.#size
  }

  /** Adds an anchor; the very same certificate is held once. */
  add(anchor: Certificate): void {
    const { key } = anchor.subject
    const others = this.#bySubject.get(key) ?? []
    if (others.some((other) => sameBytes(other.der, anchor.der))) return
    this.#bySubject.set(key, [...others, anchor])
    this.#size++
  }

  /** Removes the very same certificate; false when it is not there. */
  delete(anchor: Certificate): boolean {
    const { key } = anchor.subject
    const all = this.#bySubject.get(key) ?? []
    const rest = all.filter((other) => !sameBytes(other.der, anchor.der))
    if (rest.length === all.length) return false
    if (rest.length === 0) this.#bySubject.delete(key)
    else this.#bySubject.set(key, rest)
    this.#size--
    return true
  }

  /** Anchors of that name (RFC 5280 §7.1), whatever their key. */
  bySubject(name: Name): readonly Certificate[] {
    return this.#bySubject.get(name.key) ?? []
  }

  /** The anchor that is the same CA: same subject and same public key. */
  find(certificate: Certificate): Certificate | undefined {
    return this.bySubject(certificate.subject).find((anchor) => sameBytes(anchor.spki, certificate.spki))
  }

  *[Symbol.iterator](): Iterator<Certificate> {
    for (const anchors of this.#bySubject.values()) yield* anchors
  }
}
