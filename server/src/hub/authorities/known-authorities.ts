import { createHash } from 'node:crypto'
import { certificateId } from '@holdfast/pki'
import type { Certificate, Name } from '@holdfast/pki'

/** CA certificates that are remembered; paths through more of them are judged all the same. */
const MAX_KNOWN = 10_000

/**
 * CA certificates of paths that were verified once, so that a certificate that is known by its id alone, from a session
 * or a provenance, can be looked at again. Being known is not being trusted.
 */
export class KnownAuthorities {
  readonly #byId = new Map<string, Certificate>()
  readonly #bySubject = new Map<string, Certificate[]>()

  /** False when it was known, or when there is no room. */
  add(certificate: Certificate): boolean {
    const id = certificateId(certificate)
    if (this.#byId.has(id) || this.#byId.size >= MAX_KNOWN) return false
    this.#byId.set(id, certificate)
    const { key } = certificate.subject
    const namesakes = this.#bySubject.get(key)
    if (namesakes === undefined) this.#bySubject.set(key, [certificate])
    else namesakes.push(certificate)
    return true
  }

  get(id: string): Certificate | undefined {
    return this.#byId.get(id)
  }

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  bySubject(name: Name): readonly Certificate[] {
    return this.#bySubject.get(name.key) ?? []
  }

  /** Looks at each one: for an operator's commands, not for connects. */
  *matching(test: (certificate: Certificate) => boolean): Iterable<readonly [string, Certificate]> {
    for (const entry of this.#byId) if (test(entry[1])) yield entry
  }
}

/** SHA-256 of the public key info, lower-case hex: the identity of a CA whatever its certificates say. */
export function keyDigest({ spki }: Pick<Certificate, 'spki'>): string {
  return createHash('sha256').update(spki).digest('hex')
}
