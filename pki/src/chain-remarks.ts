import type { Certificate } from './certificate.ts'
import { displayName } from './trust-error.ts'

/** Something untidy about a chain as it is sent. Paths are found all the same; other servers and libraries may not. */
export interface ChainRemark {
  readonly kind: 'out-of-order' | 'duplicate' | 'root-sent'
  /** Place in the chain: 0 is the leaf. */
  readonly position: number
  readonly message: string
  readonly remedy: string
}

/**
 * How the chain departs from what TLS asks for: the leaf, then each certificate's issuer, each once (RFC 8446 §4.4.2),
 * without the root, which whoever trusts it has already.
 */
export function chainRemarks(chain: readonly Certificate[]): readonly ChainRemark[] {
  const remarks: ChainRemark[] = []
  const seen = new Map<string, number>()
  for (const [position, certificate] of chain.entries()) {
    const earlier = seen.get(certificate.sha256)
    const name = displayName(certificate)
    if (earlier !== undefined) remarks.push(duplicate(name, position, earlier))
    else if (position > 0 && certificate.selfIssued) remarks.push(rootSent(name, position))
    else if (position > 0 && !follows(chain, position)) remarks.push(outOfOrder(chain, position))
    seen.set(certificate.sha256, earlier ?? position)
  }
  return remarks
}

function follows(chain: readonly Certificate[], position: number): boolean {
  const issuer = chain[position]
  return chain[position - 1]?.issuer.key === issuer?.subject.key
}

function duplicate(name: string, position: number, earlier: number): ChainRemark {
  return {
    kind: 'duplicate',
    position,
    message: `certificate ${position + 1} (${name}) is the same as certificate ${earlier + 1}`,
    remedy: 'remove the second copy from the chain file',
  }
}

function rootSent(name: string, position: number): ChainRemark {
  return {
    kind: 'root-sent',
    position,
    message: `certificate ${position + 1} (${name}) is a root, which the server does not take from the device`,
    remedy: 'leave the root out of the chain file: it makes each connect slower and proves nothing',
  }
}

function outOfOrder(chain: readonly Certificate[], position: number): ChainRemark {
  const [before, certificate] = chain.slice(position - 1)
  const names = [certificate, before].map((each) => (each === undefined ? '' : displayName(each)))
  return {
    kind: 'out-of-order',
    position,
    message: `certificate ${position + 1} (${names[0]}) did not issue the one before it (${names[1]})`,
    remedy: 'sort the chain file: the device first, then each certificate after the one that it issued',
  }
}
