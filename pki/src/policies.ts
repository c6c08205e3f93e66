import type { Certificate } from './certificate.ts'
import type { PolicyMapping } from './extensions.ts'
import { ANY_POLICY } from './oid.ts'

/**
 * Certificate policies (RFC 5280 §6.1, with the policy graph of RFC 9618). The tree of RFC 5280 can grow exponentially
 * with the length of the path (CVE-2023-0464); the graph has at most one node for each policy at each depth.
 */

export interface PolicyInputs {
  /** user-initial-policy-set; absent or holding anyPolicy: every policy will do. */
  readonly acceptable?: readonly string[]
  /** initial-explicit-policy: the path must be valid for at least one acceptable policy. */
  readonly requireExplicit?: boolean
  readonly inhibitMapping?: boolean
  readonly inhibitAnyPolicy?: boolean
}

export type PolicyOutcome =
  /** Policies the path is valid for; anyPolicy when it is not restricted. Empty when no policy was asked for. */
  | { readonly valid: true; readonly policies: readonly string[] }
  /** Index counts from the certificate that the anchor issued. */
  | { readonly valid: false; readonly index: number; readonly problem: string }

interface Node {
  expected: Set<string>
  /** valid_policy of the parents, one depth above. */
  readonly parents: Set<string>
}

/** The nodes of one depth by their valid_policy. */
type Level = Map<string, Node>

/** Every CA certificate brings its own; a stranger's certificate of 64 kB holds some 3,000. */
const MAX_POLICIES = 100

/** `path` runs from the certificate that the anchor issued to the leaf; the anchor is no part of it (RFC 5280 §6.1). */
export function validatePolicies(path: readonly Certificate[], inputs: PolicyInputs): PolicyOutcome {
  // What the algorithm below comes to when nobody names or asks for a policy, as in most hierarchies of devices.
  if (path.length > 0 && inputs.requireExplicit !== true && path.every(isSilent)) return SILENCE
  return new PolicyState(path.length, inputs).process(path)
}

const SILENCE: PolicyOutcome = { valid: true, policies: [] }

function isSilent({ extensions }: Certificate): boolean {
  const { certificatePolicies, policyMappings, policyConstraints, inhibitAnyPolicy } = extensions
  return (certificatePolicies ?? policyMappings ?? policyConstraints ?? inhibitAnyPolicy) === undefined
}

class PolicyState {
  readonly #acceptable: ReadonlySet<string> | undefined
  readonly #levels: Level[] = [new Map([[ANY_POLICY, { expected: new Set([ANY_POLICY]), parents: new Set() }]])]
  /** The graph is NULL: no policy survived. */
  #null = false
  #explicit: number
  #mapping: number
  #any: number

  /** RFC 5280 §6.1.2 (d)–(f). */
  constructor(length: number, { acceptable, requireExplicit, inhibitMapping, inhibitAnyPolicy }: PolicyInputs) {
    const anything = acceptable === undefined || acceptable.includes(ANY_POLICY)
    this.#acceptable = anything ? undefined : new Set(acceptable)
    this.#explicit = requireExplicit === true ? 0 : length + 1
    this.#mapping = inhibitMapping === true ? 0 : length + 1
    this.#any = inhibitAnyPolicy === true ? 0 : length + 1
  }

  process(path: readonly Certificate[]): PolicyOutcome {
    for (const [index, certificate] of path.entries()) {
      const isLast = index === path.length - 1
      const problem = this.#enter(certificate, isLast) ?? (isLast ? undefined : this.#prepareNext(certificate))
      if (problem !== undefined) return { valid: false, index, problem }
    }
    const leaf = path.at(-1)
    if (leaf !== undefined) this.#wrapUp(leaf)
    const policies = this.#null ? [] : this.#constrainedPolicies()
    if (this.#explicit > 0 || policies.length > 0) return { valid: true, policies }
    return { valid: false, index: path.length - 1, problem: 'is valid for no acceptable certificate policy' }
  }

  /** RFC 5280 §6.1.3 (d)–(f) as updated by RFC 9618 §5. */
  #enter(certificate: Certificate, isLast: boolean): string | undefined {
    const policies = certificate.extensions.certificatePolicies
    if (policies === undefined) this.#null = true
    else if (policies.length > MAX_POLICIES) return `names more than ${MAX_POLICIES} policies`
    else if (!this.#null) this.#descend(policies, this.#any > 0 || (!isLast && certificate.selfIssued))
    if (this.#explicit > 0 || !this.#null) return undefined
    return 'is valid for no certificate policy, but one is required'
  }

  #descend(policies: readonly string[], anyPolicyCounts: boolean): void {
    const above = this.#level()
    const byExpected = indexByExpected(above)
    const level: Level = new Map()
    const addChild = (policy: string, parents: Iterable<string>): void =>
      void level.set(policy, { expected: new Set([policy]), parents: new Set(parents) })
    for (const policy of policies) {
      if (policy === ANY_POLICY) continue
      const parents = byExpected.get(policy)
      if (parents !== undefined) addChild(policy, parents)
      else if (above.has(ANY_POLICY)) addChild(policy, [ANY_POLICY])
    }
    if (policies.includes(ANY_POLICY) && anyPolicyCounts) {
      for (const [policy, parents] of byExpected) if (!level.has(policy)) addChild(policy, parents)
    }
    this.#levels.push(level)
    this.#null = level.size === 0
  }

  /** RFC 5280 §6.1.4 (a), (b), (h), (i) and (j). */
  #prepareNext(certificate: Certificate): string | undefined {
    const { policyMappings, policyConstraints, inhibitAnyPolicy } = certificate.extensions
    if (policyMappings !== undefined) {
      if (policyMappings.length > MAX_POLICIES) return `maps more than ${MAX_POLICIES} policies`
      if (policyMappings.some((m) => m.issuerDomainPolicy === ANY_POLICY || m.subjectDomainPolicy === ANY_POLICY)) {
        return 'maps anyPolicy, which is forbidden'
      }
      if (!this.#null) this.#map(policyMappings)
    }
    if (!certificate.selfIssued) {
      this.#explicit = Math.max(0, this.#explicit - 1)
      this.#mapping = Math.max(0, this.#mapping - 1)
      this.#any = Math.max(0, this.#any - 1)
    }
    this.#explicit = Math.min(this.#explicit, policyConstraints?.requireExplicitPolicy ?? Infinity)
    this.#mapping = Math.min(this.#mapping, policyConstraints?.inhibitPolicyMapping ?? Infinity)
    this.#any = Math.min(this.#any, inhibitAnyPolicy ?? Infinity)
    return undefined
  }

  #map(mappings: readonly PolicyMapping[]): void {
    const level = this.#level()
    const bySubject = Map.groupBy(mappings, (m) => m.issuerDomainPolicy)
    for (const [policy, group] of bySubject) {
      if (this.#mapping === 0) {
        level.delete(policy)
        continue
      }
      const expected = new Set(group.map((m) => m.subjectDomainPolicy))
      const node = level.get(policy)
      if (node !== undefined) node.expected = expected
      else if (level.has(ANY_POLICY)) level.set(policy, { expected, parents: new Set([ANY_POLICY]) })
    }
    this.#null = level.size === 0
  }

  /** RFC 5280 §6.1.5 (a) and (b). */
  #wrapUp(leaf: Certificate): void {
    this.#explicit = Math.max(0, this.#explicit - 1)
    if (leaf.extensions.policyConstraints?.requireExplicitPolicy === 0) this.#explicit = 0
  }

  /** RFC 5280 §6.1.5 (g): the policies, in the anchor's terms, that reach the leaf, cut down to the acceptable ones. */
  #constrainedPolicies(): string[] {
    let reached = new Set(this.#level().keys())
    // anyPolicy at the leaf stands for every policy that nothing more specific covers.
    const unrestricted = reached.has(ANY_POLICY)
    const policies = new Set<string>()
    for (let depth = this.#levels.length - 1; depth > 0; depth--) {
      const above = new Set<string>()
      for (const policy of reached) {
        const parents = this.#levels[depth]?.get(policy)?.parents ?? new Set<string>()
        if (parents.has(ANY_POLICY) && policy !== ANY_POLICY) policies.add(policy)
        for (const parent of parents) above.add(parent)
      }
      reached = above
    }
    const acceptable = this.#acceptable
    if (acceptable === undefined) return unrestricted ? [...policies, ANY_POLICY] : [...policies]
    return [...acceptable].filter((policy) => unrestricted || policies.has(policy))
  }

  #level(): Level {
    return this.#levels.at(-1) ?? new Map()
  }
}

/** For each expected policy, the valid_policy of the nodes that expect it. */
function indexByExpected(level: Level): Map<string, Set<string>> {
  const index = new Map<string, Set<string>>()
  for (const [policy, { expected }] of level) {
    for (const wanted of expected) {
      const parents = index.get(wanted)
      if (parents === undefined) index.set(wanted, new Set([policy]))
      else parents.add(policy)
    }
  }
  return index
}
