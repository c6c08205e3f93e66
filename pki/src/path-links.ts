import type { Certificate } from './certificate.ts'
import type { Spending } from './path-budget.ts'
import type { SignatureVerifier } from './signature.ts'

/** The signatures between the certificates of one search: each pair is checked once, and paid for from the budget. */
export class PathLinks {
  readonly #leaf: Certificate
  readonly #signatures: SignatureVerifier
  readonly #spending: Spending
  readonly #verdicts = new Map<Certificate, Map<Certificate, boolean>>()
  /** Something was checked that the signature verifier does not remember by itself. */
  #hasNews = false

  constructor(leaf: Certificate, signatures: SignatureVerifier, spending: Spending) {
    this.#leaf = leaf
    this.#signatures = signatures
    this.#spending = spending
  }

  /** RFC 5280 §6.1.3 (a)(1). `isAnchored`: the issuer is an anchor or known to be signed by one, by way of others. */
  isSigned(child: Certificate, issuer: Certificate, isAnchored: boolean): boolean {
    const verdicts = this.#verdicts.get(child) ?? new Map<Certificate, boolean>()
    this.#verdicts.set(child, verdicts)
    const verdict = verdicts.get(issuer) ?? this.#check(child, issuer, isAnchored)
    verdicts.set(issuer, verdict)
    return verdict
  }

  /**
   * Remembers a whole signed path for the searches to come, but for the leaf: a CA certificate returns with every device
   * below it. Nothing of strangers is ever remembered, so they cannot push out what is.
   */
  remember(path: readonly Certificate[]): void {
    if (!this.#hasNews) return
    for (const [position, issuer] of path.entries()) {
      const child = path[position - 1]
      if (child === undefined) continue
      if (child !== this.#leaf) this.#signatures.remember(child, issuer)
      this.#signatures.rememberKey(issuer)
    }
  }

  #check(child: Certificate, issuer: Certificate, isAnchored: boolean): boolean {
    return child === this.#leaf ? this.#checkLeaf(issuer, isAnchored) : this.#checkAuthority(child, issuer, isAnchored)
  }

  #checkLeaf(issuer: Certificate, isAnchored: boolean): boolean {
    const leaf = this.#leaf
    if (isAnchored && this.#signatures.isKnownLeaf(leaf, issuer)) return true
    this.#spending.signature()
    if (!isAnchored) this.#hasNews = true
    const isGood = this.#signatures.verify(leaf, issuer, isAnchored)
    if (isGood && isAnchored) this.#signatures.rememberLeaf(leaf, issuer)
    return isGood
  }

  #checkAuthority(child: Certificate, issuer: Certificate, isAnchored: boolean): boolean {
    if (this.#signatures.isKnown(child, issuer)) return true
    this.#spending.signature()
    this.#hasNews = true
    return this.#signatures.verify(child, issuer, isAnchored)
  }
}
