import type { Certificate } from './certificate.ts'
import { certificateFinding } from './certificate-rules.ts'
import type { PathRequest } from './path.ts'
import { BudgetExceeded } from './path-budget.ts'
import type { Spending } from './path-budget.ts'
import { Candidates, isSameEntity, likeliestFirst } from './path-candidates.ts'
import type { PathExpectation } from './path-rules.ts'
import { judgePath } from './path-rules.ts'
import { anchorAsLeaf, issuerMissing, signatureRefused, tooExpensive } from './search-refusals.ts'
import type { SignatureVerifier } from './signature.ts'
import type { TrustError } from './trust-error.ts'
import { isMoreTelling, refusal } from './trust-error.ts'

export interface FoundPath {
  readonly kind: 'found'
  readonly path: readonly Certificate[]
  readonly policies: readonly string[]
}

/**
 * Looks for a path depth first, from the leaf up along names, and judges each one that reaches an anchor. Signatures are
 * then checked from the anchor down, so that a chain no anchor stands behind costs its sender's victim one check, and its
 * keys are never decoded. What fails is tried again another way until a path is good or the budget is spent.
 */
export class PathSearch {
  readonly #request: PathRequest
  readonly #expected: PathExpectation
  readonly #signatures: SignatureVerifier
  readonly #spending: Spending
  readonly #candidates: Candidates
  /** Signature verdicts of this search, by child and issuer. */
  readonly #verdicts = new Map<Certificate, Map<Certificate, boolean>>()
  #refusal: TrustError | undefined

  constructor(request: PathRequest, signatures: SignatureVerifier, spending: Spending) {
    const { profile, purpose, now, policies = {}, maxIntermediates } = request
    this.#request = request
    this.#expected = { profile, purpose, now, policies, maxIntermediates }
    this.#signatures = signatures
    this.#spending = spending
    const { certificates } = spending.limits
    if (request.intermediates.length + 1 > certificates) throw new BudgetExceeded('certificates', certificates)
    this.#candidates = new Candidates(request.intermediates)
  }

  run(): FoundPath | TrustError {
    const { leaf, anchors } = this.#request
    // What is wrong with the leaf itself no path can mend.
    const finding = certificateFinding(leaf, { ...this.#expected, role: 'leaf' })
    const found = finding === undefined ? this.#extend([leaf]) : this.#note(refusal(finding, leaf, 0))
    if (found !== undefined) return found
    if (anchors.find(leaf) !== undefined) return anchorAsLeaf(leaf)
    return this.#refusal ?? issuerMissing([leaf])
  }

  /** Every way to go on from the last certificate of `path`: to an anchor first, then through an intermediate. */
  #extend(path: readonly Certificate[]): FoundPath | undefined {
    this.#spending.step()
    const last = path.at(-1)
    if (last === undefined || path.length >= this.#spending.limits.pathLength) return this.#tooLong()
    const isNew = (issuer: Certificate): boolean => !path.some((member) => isSameEntity(member, issuer))
    const anchors = likeliestFirst(last, this.#request.anchors.bySubject(last.issuer)).filter(isNew)
    for (const anchor of anchors) {
      const found = this.#judge([...path, anchor])
      if (found !== undefined) return found
    }
    const intermediates = this.#candidates.issuersOf(last).filter(isNew)
    for (const issuer of intermediates) {
      const found = this.#through(path, issuer)
      if (found !== undefined) return found
    }
    if (anchors.length + intermediates.length === 0) this.#note(issuerMissing(path))
    return undefined
  }

  #through(path: readonly Certificate[], issuer: Certificate): FoundPath | undefined {
    const [child] = path.slice(-1)
    if (child !== undefined && this.#verdicts.get(child)?.get(issuer) === false) return undefined
    const finding = certificateFinding(issuer, { ...this.#expected, role: 'intermediate' })
    if (finding === undefined) return this.#extend([...path, issuer])
    this.#note(refusal(finding, issuer, path.length))
    return undefined
  }

  #judge(path: readonly Certificate[]): FoundPath | undefined {
    this.#spending.step()
    const broken = this.#brokenLink(path)
    if (broken !== undefined) return this.#note(signatureRefused(path, broken, this.#candidates))
    const judgement = judgePath(path, this.#expected, this.#spending)
    if (judgement.kind !== 'accepted') return this.#note(judgement)
    const revoked = this.#request.checkRevocation?.(path)
    if (revoked !== undefined) return this.#note(revoked)
    return { kind: 'found', path, policies: judgement.policies }
  }

  /** Position of the certificate nearest to the anchor that its issuer on the path did not sign. */
  #brokenLink(path: readonly Certificate[]): number | undefined {
    for (let position = path.length - 2; position >= 0; position--) {
      const [child, issuer] = path.slice(position, position + 2)
      if (child === undefined || issuer === undefined || !this.#isSigned(child, issuer, position)) return position
    }
    return undefined
  }

  #isSigned(child: Certificate, issuer: Certificate, position: number): boolean {
    const known = this.#verdicts.get(child)?.get(issuer)
    if (known !== undefined) return known
    const verdict = this.#checkSignature(child, issuer, position > 0)
    const verdicts = this.#verdicts.get(child)
    if (verdicts === undefined) this.#verdicts.set(child, new Map([[issuer, verdict]]))
    else verdicts.set(issuer, verdict)
    return verdict
  }

  #checkSignature(child: Certificate, issuer: Certificate, isCa: boolean): boolean {
    if (isCa && this.#signatures.isKnown(child, issuer)) return true
    this.#spending.signature()
    const good = this.#signatures.verify(child, issuer)
    // A CA certificate returns with every device below it; a leaf would only push CAs out.
    if (good && isCa) this.#signatures.remember(child, issuer)
    return good
  }

  #tooLong(): undefined {
    const error = new BudgetExceeded('pathLength', this.#spending.limits.pathLength)
    return this.#note(tooExpensive(this.#request.leaf, error))
  }

  #note(error: TrustError): undefined {
    if (isMoreTelling(error, this.#refusal)) this.#refusal = error
    return undefined
  }
}
