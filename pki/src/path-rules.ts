import type { Certificate } from './certificate.ts'
import type { Expectation } from './certificate-rules.ts'
import { certificateFinding } from './certificate-rules.ts'
import { constraintViolation, malformedConstraint } from './name-constraints.ts'
import type { Spending } from './path-budget.ts'
import type { PolicyInputs } from './policies.ts'
import { validatePolicies } from './policies.ts'
import type { Finding, TrustError } from './trust-error.ts'
import { clip, displayName, refusal } from './trust-error.ts'

export interface PathExpectation extends Omit<Expectation, 'role'> {
  readonly policies: PolicyInputs
  /** Most intermediates that are not self-issued; absent: only the CAs' own pathLenConstraint counts. */
  readonly maxIntermediates: number | undefined
}

export type PathJudgement = { readonly kind: 'accepted'; readonly policies: readonly string[] } | TrustError

/**
 * RFC 5280 §6.1 over one candidate path, leaf first and anchor last, but for signatures and revocation, and for what each
 * certificate below the anchor must be by itself: the search looks at that before it goes on. The anchor's dates,
 * key usage, path length and name constraints apply as well (RFC 5937 §3): an anchor may be somebody's intermediate, and
 * registering it must not widen what its own issuer allowed.
 */
export function judgePath(path: readonly Certificate[], expected: PathExpectation, spending: Spending): PathJudgement {
  return (
    checkAnchor(path, expected) ??
    checkPathLength(path, expected.maxIntermediates) ??
    checkNameConstraints(path, spending) ??
    checkPolicies(path, expected.policies)
  )
}

function checkAnchor(path: readonly Certificate[], expected: PathExpectation): TrustError | undefined {
  const anchor = path.at(-1)
  if (anchor === undefined) throw new RangeError('a path without certificates')
  const finding = certificateFinding(anchor, { ...expected, role: 'anchor' })
  return finding && refusal(finding, anchor, path.length - 1)
}

/** RFC 5280 §6.1.4 (l) and (m): self-issued intermediates do not count, and neither does the leaf. */
function checkPathLength(path: readonly Certificate[], limit: number | undefined): TrustError | undefined {
  let below = 0
  for (const [position, certificate] of path.entries()) {
    if (position === 0) continue
    const isAnchor = position === path.length - 1
    const allowed = Math.min(
      certificate.extensions.basicConstraints?.pathLength ?? Infinity,
      isAnchor ? (limit ?? Infinity) : Infinity,
    )
    if (below > allowed) return refusal(pathTooLong(below, allowed), certificate, position)
    if (!certificate.selfIssued) below++
  }
  return undefined
}

function pathTooLong(below: number, allowed: number): Finding {
  const problem = `allows ${allowed} intermediate CAs below itself, but ${below} follow`
  const remedy = 'issue the device certificate from a CA nearer to this one, or issue this CA with a larger path length'
  return { rule: 'path-length-exceeded', problem, remedy, evidence: { allowed: String(allowed), found: String(below) } }
}

/** RFC 5280 §6.1.3 (b), (c) and §6.1.4 (g): a CA's constraints bind all below it, self-issued intermediates excepted. */
function checkNameConstraints(path: readonly Certificate[], spending: Spending): TrustError | undefined {
  for (let upper = path.length - 1; upper > 0; upper--) {
    const ca = path[upper]
    const constraints = ca?.extensions.nameConstraints
    if (ca === undefined || constraints === undefined) continue
    const malformed = malformedConstraint(constraints, spending)
    if (malformed !== undefined) return refusal(malformedConstraints(malformed), ca, upper)
    for (const [position, certificate] of path.slice(0, upper).entries()) {
      if (position > 0 && certificate.selfIssued) continue
      const violation = constraintViolation(certificate, constraints, spending)
      if (violation === undefined) continue
      const { reason } = violation
      const name = clip(violation.name)
      const relation = reason === 'cannot be judged' ? 'not comparable with' : `${reason} by`
      const problem = `has the name ${name}, which is ${relation} the name constraints of ${displayName(ca)}`
      const remedy = 'issue the certificate with a name that this CA may issue for'
      const evidence = { name, reason, constrainedBy: ca.sha256 }
      return refusal({ rule: 'name-constraints', problem, remedy, evidence }, certificate, position)
    }
  }
  return undefined
}

function malformedConstraints(what: string): Finding {
  const problem = `has name constraints with ${clip(what)}`
  return { rule: 'name-constraints', problem, remedy: 'issue the CA certificate again with well-formed constraints' }
}

function checkPolicies(path: readonly Certificate[], inputs: PolicyInputs): PathJudgement {
  const fromAnchor = path.slice(0, -1).toReversed()
  const outcome = validatePolicies(fromAnchor, inputs)
  if (outcome.valid) return { kind: 'accepted', policies: outcome.policies }
  const position = fromAnchor.length - 1 - outcome.index
  const certificate = path[position]
  if (certificate === undefined) throw new RangeError('policy outcome outside of the path')
  const remedy = 'issue the chain under a certificate policy that its CAs and this hub accept'
  return refusal({ rule: 'certificate-policy', problem: outcome.problem, remedy }, certificate, position)
}
