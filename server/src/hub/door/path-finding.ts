import { VerifiedPath } from '@holdfast/pki'
import type { Clock } from '../../ports/clock.ts'
import { pathFinding } from '../findings/certificate-judgement.ts'
import type { ParsedChain } from '../findings/certificate-judgement.ts'
import type { Finding } from '../findings/finding.ts'
import type { HubDefinition } from '../hubs.ts'
import type { PathTrust } from '../revocation/path-trust.ts'
import type { TrustAnchors } from '../authorities/trust-anchors.ts'

export interface PathParts {
  readonly anchors: TrustAnchors
  readonly trust: PathTrust
  readonly clock: Clock
}

/** Path rules by which the chain reached no anchor at all: then the registers may know why. */
const NO_ANCHOR: ReadonlySet<string> = new Set(['issuer-not-found', 'untrusted-root', 'anchor-key-mismatch'])

/** The path from the leaf to a CA that the hub trusts, revocation looked at, or why there is none. */
export async function findPath(
  { leaf, intermediates }: ParsedChain,
  { name, profile = 'compatible' }: HubDefinition,
  { anchors, trust, clock }: PathParts,
): Promise<VerifiedPath | Finding> {
  const request = { leaf, intermediates, anchors: await anchors.forHub(name), now: clock.now(), profile } as const
  const verdict = await trust.verify(name, { ...request, purpose: 'clientAuth' })
  if (verdict instanceof VerifiedPath) return verdict
  if (!NO_ANCHOR.has(verdict.rule)) return pathFinding(verdict)
  const known = await anchors.explain(name, { leaf, intermediates }, trust.revocations.known)
  return known ?? pathFinding(verdict)
}
