import type { AnchorSet } from './anchor-set.ts'
import type { Certificate } from './certificate.ts'
import { sameBytes } from './certificate.ts'
import { escapeText } from './name.ts'
import type { Candidates } from './path-candidates.ts'
import type { BudgetExceeded } from './path-budget.ts'
import { isSameEntity, keyIdentifierMatch } from './path-candidates.ts'
import type { TrustError } from './trust-error.ts'
import { clip, displayName, refusal, summarize } from './trust-error.ts'

/** How a search that found no path is explained to the person who must mend it. */

/** Nobody of the issuer's name was sent or is registered: the last certificate of `path` hangs in the air. */
export function issuerMissing(path: readonly Certificate[]): TrustError {
  const position = path.length - 1
  const last = path[position]
  if (last === undefined) throw new RangeError('a path holds its leaf at least')
  if (last.selfIssued) return position === 0 ? selfSignedLeaf(last) : untrustedRoot(last, position)
  const issuer = clip(last.issuer.toString())
  const name = clip(escapeText(last.issuer.commonNames.at(-1) ?? issuer))
  const problem = `was issued by "${issuer}", which was not sent and is not a registered CA`
  const remedy = `if "${name}" is an intermediate, append it to the device's chain file; if it is the CA to trust, register it and prove its possession`
  const evidence = { issuer }
  return refusal({ rule: 'issuer-not-found', problem, remedy, evidence }, last, position)
}

function selfSignedLeaf(leaf: Certificate): TrustError {
  const problem = 'is self-signed, so no CA vouches for it'
  const remedy = 'issue the device certificate from a registered CA, or enrol this certificate by its thumbprint'
  return refusal({ rule: 'untrusted-root', problem, remedy }, leaf, 0)
}

function untrustedRoot(root: Certificate, position: number): TrustError {
  const problem = 'was sent as the root, but is not a registered and verified CA'
  const remedy = `register the CA ${displayName(root)} and prove its possession`
  return refusal({ rule: 'untrusted-root', problem, remedy, evidence: { sha256: root.sha256 } }, root, position)
}

/** The certificate at `position` names the next one as its issuer, but was not signed with that one's key. */
export function signatureRefused(
  path: readonly Certificate[],
  position: number,
  anchors: AnchorSet,
  candidates: Candidates,
): TrustError {
  const child = path[position]
  const issuer = path[position + 1]
  if (child === undefined || issuer === undefined) throw new RangeError('no such link in the path')
  const anchor = anchors.find(issuer)
  if (anchor !== undefined && meansAnotherKey(child, anchor, candidates)) return anotherKey(child, anchor, position)
  const name = displayName(issuer)
  const problem = `carries a signature that was not made by its issuer ${name}`
  const remedy = `issue it again from the true ${name}; if that CA was made anew, its certificate here is of the old key`
  const evidence = { issuer: issuer.sha256 }
  return refusal({ rule: 'signature-invalid', problem, remedy, evidence }, child, position)
}

/** By its key identifier, or by the issuer sent along, the child points to another key than the anchor's. */
function meansAnotherKey(child: Certificate, anchor: Certificate, candidates: Candidates): boolean {
  if (keyIdentifierMatch(child.extensions.authorityKeyIdentifier, anchor) === 0) return true
  return candidates.issuersOf(child).some((sent) => !isSameEntity(sent, anchor) && !sameBytes(sent.spki, anchor.spki))
}

function anotherKey(child: Certificate, anchor: Certificate, position: number): TrustError {
  const problem = `was issued by a CA named ${displayName(anchor)}, but the registered CA of that name has another key`
  const remedy =
    'find out which of the two CAs is yours: register the one that issued this device, or issue the device from the registered one'
  const wanted = child.extensions.authorityKeyIdentifier?.keyIdentifier
  const evidence = {
    registered: anchor.sha256,
    ...(wanted && { keyIdentifierInCertificate: Buffer.from(wanted).toString('hex') }),
  }
  return refusal({ rule: 'anchor-key-mismatch', problem, remedy, evidence }, child, position)
}

/** The peer presents a CA's own certificate: a path must lead from a device to a CA, not start there. */
export function anchorAsLeaf(leaf: Certificate): TrustError {
  const problem = 'is a registered CA itself and was presented as a device certificate'
  const remedy = 'issue a device certificate from this CA and let the device present that one'
  return refusal({ rule: 'anchor-as-leaf', problem, remedy }, leaf, 0)
}

export function tooExpensive(leaf: Certificate, { item, limit, message }: BudgetExceeded): TrustError {
  return {
    kind: 'trust-error',
    rule: 'budget-exceeded',
    certificate: summarize(leaf, 0),
    message: `the chain of certificate ${displayName(leaf)} was given up: ${message}`,
    remedy: 'send the leaf and the intermediates up to the registered CA, each once and nothing else',
    evidence: { item, limit: String(limit) },
  }
}
