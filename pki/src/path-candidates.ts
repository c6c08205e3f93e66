import type { Certificate } from './certificate.ts'
import { sameBytes } from './certificate.ts'
import type { AuthorityKeyIdentifier } from './extensions.ts'

/** Certificates that may continue a path, as a stranger sent them: any order, duplicates and strays included. */
export class Candidates {
  readonly #bySubject = new Map<string, Certificate[]>()

  constructor(certificates: Iterable<Certificate>) {
    const seen = new Set<string>()
    for (const certificate of certificates) {
      if (seen.has(certificate.sha256)) continue
      seen.add(certificate.sha256)
      const { key } = certificate.subject
      const others = this.#bySubject.get(key)
      if (others === undefined) this.#bySubject.set(key, [certificate])
      else others.push(certificate)
    }
  }

  /** Those whose subject is the issuer of `certificate` (RFC 5280 §6.1.3 (a)(4)), the likeliest first. */
  issuersOf(certificate: Certificate): Certificate[] {
    return likeliestFirst(certificate, this.#bySubject.get(certificate.issuer.key) ?? [])
  }
}

/** Key identifiers order the candidates and never rule one out (RFC 5280 §4.2.1.1, RFC 4158 §3.5.12). */
export function likeliestFirst(certificate: Certificate, issuers: readonly Certificate[]): Certificate[] {
  if (issuers.length < 2) return [...issuers]
  const { authorityKeyIdentifier } = certificate.extensions
  const match = (issuer: Certificate): number => keyIdentifierMatch(authorityKeyIdentifier, issuer)
  return issuers.toSorted((a, b) => match(b) - match(a))
}

/** 2: identifiers agree; 1: one is missing; 0: they differ. */
export function keyIdentifierMatch(wanted: AuthorityKeyIdentifier | undefined, issuer: Certificate): 0 | 1 | 2 {
  const offered = issuer.extensions.subjectKeyIdentifier
  if (wanted?.keyIdentifier === undefined || offered === undefined) return 1
  return sameBytes(wanted.keyIdentifier, offered) ? 2 : 0
}

/** The same entity: same subject and same public key. A path that meets one twice is a loop (RFC 4158 §2.4.2, §5.2). */
export function isSameEntity(a: Certificate, b: Certificate): boolean {
  return a.subject.key === b.subject.key && sameBytes(a.spki, b.spki)
}
