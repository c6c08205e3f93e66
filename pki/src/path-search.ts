import type { Certificate } from './certificate.ts'
import { certificateFinding } from './certificate-rules.ts'
import type { PathRequest } from './path.ts'
import { BudgetExceeded } from './path-budget.ts'
import type { Spending } from './path-budget.ts'
import { Candidates, isSameEntity, likeliestFirst } from './path-candidates.ts'
import { PathLinks } from './path-links.ts'
import type { PathExpectation } from './path-rules.ts'
import { judgePath } from './path-rules.ts'
import { anchorAsLeaf, issuerMissing, signatureRefused, tooExpensive } from './search-refusals.ts'
import type { SignatureVerifier } from './signature.ts'
import type { Finding, TrustError } from './trust-error.ts'
import { isMoreTelling, refusal } from './trust-error.ts'

export interface FoundPath {
  readonly kind: 'found'
  readonly path: readonly Certificate[]
  readonly policies: readonly string[]
}

/**
 * Looks for a path depth first, from the leaf up along names, and judges each one that reaches an anchor. Signatures are
 * then checked from the anchor down, so that a chain no anchor stands behind costs one check, and its keys are never
 * decoded. Only where several issuers bear the name does the signature choose between them at once: going through all of
 * them would take time exponential in their number. What fails is tried another way until the budget is spent.
 */
export class PathSearch {
  readonly #request: PathRequest
  readonly #expected: PathExpectation
  readonly #spending: Spending
  readonly #candidates: Candidates
  readonly #links: PathLinks
  #refusal: TrustError | undefined

  constructor(request: PathRequest, signatures: SignatureVerifier, spending: Spending) {
    const { profile, purpose, now, policies = {}, maxIntermediates } = request
    this.#request = request
    this.#expected = { profile, purpose, now, policies, maxIntermediates }
    this.#spending = spending
    const { certificates } = spending.limits
    if (request.intermediates.length + 1 > certificates) throw new BudgetExceeded('certificates', certificates)
    this.#candidates = new Candidates(request.intermediates)
    this.#links = new PathLinks(request.leaf, signatures, spending)
  }

  run(): FoundPath | TrustError {
    const { leaf, anchors } = this.#request
    // What is wrong with the leaf itself no path can mend.
    const finding = certificateFinding(leaf, { ...this.#expected, role: 'leaf' })
    const found = finding === undefined ? this.#extend([leaf], leaf) : this.#refuse(finding, leaf, 0)
    if (found !== undefined) return found
    if (anchors.find(leaf) !== undefined) return anchorAsLeaf(leaf)
    return this.#refusal ?? issuerMissing([leaf])
  }

  /** Every way to go on from `last`, the end of `path`: to an anchor first, then through an intermediate. */
  #extend(path: readonly Certificate[], last: Certificate): FoundPath | undefined {
    this.#spending.step()
    if (path.length >= this.#spending.limits.pathLength) return this.#tooLong()
    const isNew = (issuer: Certificate): boolean => !path.some((member) => isSameEntity(member, issuer))
    const anchors = likeliestFirst(last, this.#request.anchors.bySubject(last.issuer)).filter(isNew)
    for (const anchor of anchors) {
      const found = this.#judge([...path, anchor])
      if (found !== undefined) return found
    }
    const intermediates = this.#candidates.issuersOf(last).filter(isNew)
    const isAmbiguous = anchors.length + intermediates.length > 1
    for (const issuer of intermediates) {
      const longer = [...path, issuer]
      const isPossible = !isAmbiguous || this.#links.isSigned(last, issuer, false)
      const found = isPossible ? this.#through(longer, issuer) : this.#refuseSignature(longer, path.length - 1)
      if (found !== undefined) return found
    }
    if (anchors.length + intermediates.length === 0) this.#note(issuerMissing(path))
    return undefined
  }

  #through(path: readonly Certificate[], issuer: Certificate): FoundPath | undefined {
    const finding = certificateFinding(issuer, { ...this.#expected, role: 'intermediate' })
    return finding === undefined ? this.#extend(path, issuer) : this.#refuse(finding, issuer, path.length - 1)
  }

  #judge(path: readonly Certificate[]): FoundPath | undefined {
    this.#spending.step()
    const broken = this.#brokenLink(path)
    if (broken !== undefined) return this.#refuseSignature(path, broken)
    this.#links.remember(path)
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
      if (child === undefined || issuer === undefined || !this.#links.isSigned(child, issuer, true)) return position
    }
    return undefined
  }

  #refuse(finding: Finding, certificate: Certificate, position: number): undefined {
    return this.#note(refusal(finding, certificate, position))
  }

  #refuseSignature(path: readonly Certificate[], position: number): undefined {
    return this.#note(signatureRefused(path, position, this.#request.anchors, this.#candidates))
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
