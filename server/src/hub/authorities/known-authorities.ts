import { createHash } from 'node:crypto'
import { certificateId } from '@holdfast/pki'
import type { Certificate, Name } from '@holdfast/pki'
import type { HubName } from '../../model/ids.ts'

/** CA certificates that are remembered, apart from those that an operator chose. */
const MAX_KNOWN = 20_000
/** Certificates in use that one newcomer passes over in search of one to forget; then it is one more. */
const MAX_PASSED_OVER = 64

/** Where a path with a CA certificate was seen. */
export interface Seen {
  /** The hub that saw it first. */
  readonly hub: HubName
  /** SHA-256 of the path's anchor; null: seen before anchors were noted. */
  readonly anchor: string | null
}

export interface Forgotten extends Seen {
  readonly certificate: Certificate
}

interface Entry {
  readonly certificate: Certificate
  /** Anchors of the paths that it was seen on; empty when an operator chose it. */
  readonly anchors: Set<string | null>
  isChosen: boolean
}

/**
 * CA certificates of paths that were verified once, so that a certificate that is known by its id alone, from a session
 * or a provenance, can be looked at again. Being known is not being trusted.
 *
 * Each is told from others by its bytes: a trusted CA can give a certificate of its own the issuer and serial of another
 * CA's. Places are shared out between the anchors: when there is none left, the anchor that holds the most gives up what
 * it used longest ago, so that nobody can push out what lies under somebody else's. What a live session rests on stays,
 * and so do those that an operator chose: anchors, and CAs that have a rule or a CRL.
 */
export class KnownAuthorities {
  readonly #entries = new Map<string, Entry>()
  readonly #byId = new Map<string, Certificate[]>()
  readonly #bySubject = new Map<string, Certificate[]>()
  /** Under each anchor, by SHA-256 as `anchors` above: the one used longest ago first. */
  readonly #groups = new Map<string | null, Map<string, HubName>>()
  readonly #limit: number
  #places = 0
  /** What was seen last of all, and so stands at the end of its group. */
  #latest: { readonly sha256: string; readonly anchor: string | null } | null = null
  #isHeld: (id: string) => boolean = () => false

  constructor(limit = MAX_KNOWN) {
    this.#limit = limit
  }

  /** `isHeld` tells whether something that is live rests on a certificate, by its `certificateId`. */
  holdWhile(isHeld: (id: string) => boolean): void {
    this.#isHeld = isHeld
  }

  /** One that an operator chose; it is never forgotten. False when that was known. */
  choose(certificate: Certificate): boolean {
    const entry = this.#entryOf(certificate)
    if (entry.isChosen) return false
    entry.isChosen = true
    return true
  }

  /** One that was seen on a path: whether that is new under this anchor, and what had to go for it. */
  see(certificate: Certificate, { hub, anchor }: Seen): { readonly isNew: boolean; readonly forgotten?: Forgotten } {
    const { sha256 } = certificate
    if (this.#latest?.sha256 === sha256 && this.#latest.anchor === anchor) return { isNew: false }
    if (this.#entries.get(sha256)?.isChosen === true) return { isNew: false }
    this.#latest = { sha256, anchor }
    const group = this.#groupOf(anchor)
    const first = group.get(sha256)
    // The last to be used goes to the end.
    group.delete(sha256)
    group.set(sha256, first ?? hub)
    if (first !== undefined) return { isNew: false }
    this.#entryOf(certificate).anchors.add(anchor)
    this.#places += 1
    const forgotten = this.#places > this.#limit ? this.#forgetOne() : undefined
    return { isNew: true, ...(forgotten && { forgotten }) }
  }

  /** By `certificateId`: more than one only where a CA imitates another. */
  withId(id: string): readonly Certificate[] {
    return this.#byId.get(id) ?? []
  }

  /** For display: see `withId`. */
  get(id: string): Certificate | undefined {
    return this.#byId.get(id)?.[0]
  }

  bySubject(name: Name): readonly Certificate[] {
    return this.#bySubject.get(name.key) ?? []
  }

  /** Looks at each one: for an operator's commands, not for connects. */
  *matching(test: (certificate: Certificate) => boolean): Iterable<readonly [string, Certificate]> {
    for (const { certificate } of this.#entries.values())
      if (test(certificate)) yield [certificateId(certificate), certificate]
  }

  #entryOf(certificate: Certificate): Entry {
    const known = this.#entries.get(certificate.sha256)
    if (known !== undefined) return known
    const entry = { certificate, anchors: new Set<string | null>(), isChosen: false }
    this.#entries.set(certificate.sha256, entry)
    append(this.#byId, certificateId(certificate), certificate)
    append(this.#bySubject, certificate.subject.key, certificate)
    return entry
  }

  #groupOf(anchor: string | null): Map<string, HubName> {
    let group = this.#groups.get(anchor)
    if (group === undefined) this.#groups.set(anchor, (group = new Map()))
    return group
  }

  #forgetOne(): Forgotten | undefined {
    let [anchor, largest] = [null as string | null, new Map<string, HubName>()]
    for (const [each, group] of this.#groups) if (group.size > largest.size) [anchor, largest] = [each, group]
    const held: [string, HubName][] = []
    let forgotten: Forgotten | undefined
    for (const [sha256, hub] of largest) {
      const entry = this.#entries.get(sha256)
      if (entry === undefined || held.length === MAX_PASSED_OVER) break
      if (!this.#isHeld(certificateId(entry.certificate))) {
        this.#forget(entry, anchor)
        forgotten = { certificate: entry.certificate, hub, anchor }
        break
      }
      held.push([sha256, hub])
    }
    // They go to the end, so that the next newcomer looks at others.
    for (const [sha256, hub] of held) if (largest.delete(sha256)) largest.set(sha256, hub)
    return forgotten
  }

  #forget({ certificate, anchors, isChosen }: Entry, anchor: string | null): void {
    const group = this.#groupOf(anchor)
    group.delete(certificate.sha256)
    if (group.size === 0) this.#groups.delete(anchor)
    anchors.delete(anchor)
    this.#places -= 1
    if (isChosen || anchors.size > 0) return
    this.#entries.delete(certificate.sha256)
    remove(this.#byId, certificateId(certificate), certificate)
    remove(this.#bySubject, certificate.subject.key, certificate)
  }
}

function append(index: Map<string, Certificate[]>, key: string, certificate: Certificate): void {
  const present = index.get(key)
  if (present === undefined) index.set(key, [certificate])
  else present.push(certificate)
}

function remove(index: Map<string, Certificate[]>, key: string, certificate: Certificate): void {
  const left = (index.get(key) ?? []).filter((one) => one.sha256 !== certificate.sha256)
  if (left.length === 0) index.delete(key)
  else index.set(key, left)
}

/** SHA-256 of the public key info, lower-case hex: the identity of a CA whatever its certificates say. */
export function keyDigest({ spki }: Pick<Certificate, 'spki'>): string {
  return createHash('sha256').update(spki).digest('hex')
}
