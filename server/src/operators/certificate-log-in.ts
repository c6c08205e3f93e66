import { AnchorSet, isTrustError, VerifiedPath } from '@holdfast/pki'
import type { TrustAnchors } from '../hub/authorities/trust-anchors.ts'
import { judgeDates, parseChain, pathFinding } from '../hub/findings/certificate-judgement.ts'
import type { ParsedChain } from '../hub/findings/certificate-judgement.ts'
import { finding, isFinding } from '../hub/findings/finding.ts'
import type { Finding } from '../hub/findings/finding.ts'
import type { Hubs } from '../hub/hubs.ts'
import type { PathTrust } from '../hub/revocation/path-trust.ts'
import type { HubName } from '../model/ids.ts'
import { describeTarget } from '../model/revocation.ts'
import type { Clock } from '../ports/clock.ts'

export interface CertificateLogInParts {
  readonly hubs: Hubs
  readonly anchors: Pick<TrustAnchors, 'forHub'>
  readonly trust: PathTrust
  readonly clock: Clock
}

/**
 * What a path may fail by that concerns a certificate which is known by its digest and needs no path. A search that was given up
 * has not seen all that is known of it: a CA can make more namesakes of its issuer than a search looks at.
 */
const ABOUT_REVOCATION: ReadonlySet<string> = new Set(['revoked', 'revocation-unknown', 'budget-exceeded'])

/**
 * Why an operator's certificate lets nobody in now, null when nothing speaks against it: its dates, and whatever any hub
 * of this server knows of its revocation, by an operator's decision, a CRL or a responder of the CA that issued it.
 * `chain` is as it was sent; its first certificate is the one that is known by its digest.
 */
export async function judgeLogIn(chain: readonly Uint8Array[], parts: CertificateLogInParts): Promise<Finding | null> {
  const parsed = parseChain(chain)
  if (isFinding(parsed)) return parsed
  const stale = judgeDates(parsed.leaf, parts.clock.now())
  if (stale !== null) return stale
  for (const { name } of parts.hubs.all()) {
    const revoked = await judgeAt(name, parsed, parts)
    if (revoked !== null) return revoked
  }
  return null
}

async function judgeAt(
  hub: HubName,
  { leaf, intermediates }: ParsedChain,
  { anchors, trust, clock }: CertificateLogInParts,
): Promise<Finding | null> {
  const row = trust.revocations.facts(hub).rowOf(leaf)
  if (row !== undefined) {
    const message = `This certificate was revoked by ${row.by}, as ${describeTarget(row.target)}.`
    return finding('chain:revoked', message, { remedy: 'Have another certificate added for this operator.' })
  }
  // A CA that issues operators need not be one that devices are trusted by: what is known of it counts all the same.
  const known = new AnchorSet([...trust.revocations.known.bySubject(leaf.issuer)])
  for (const anchorSet of [await anchors.forHub(hub), known]) {
    const verdict = await trust.withoutTraces().verify(hub, {
      leaf,
      intermediates,
      anchors: anchorSet,
      now: clock.now(),
      profile: 'compatible',
      purpose: 'any',
    })
    if (verdict instanceof VerifiedPath) return null
    if (isTrustError(verdict) && ABOUT_REVOCATION.has(verdict.rule)) return pathFinding(verdict)
  }
  return null
}
