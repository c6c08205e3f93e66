import type { KeyObject } from 'node:crypto'
import { AnchorSet, parseCertificate } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import type { EnrollmentGroup } from '../model/enrollment.ts'
import type { EnrollmentGroupId, HubName } from '../model/ids.ts'
import type { Registry } from '../ports/registry.ts'
import { secretKeyOf } from './derived-keys.ts'

const PAGE = 100

export interface SymmetricGroup {
  readonly group: EnrollmentGroup
  /** The keys as they are enrolled, and for deriving. */
  readonly enrolled: readonly [primary: string, secondary: string]
  readonly keys: readonly [KeyObject, KeyObject]
}

/** All enrollment groups, arranged by what devices prove; rebuilt when a group or an authority has changed. */
export class GroupIndex {
  readonly #registry: Registry
  readonly #home: HubName
  #view: { readonly revision: string; readonly groups: Promise<Groups> } | null = null

  /** `home` is the hub whose register of authorities the groups refer to. */
  constructor(registry: Registry, home: HubName) {
    this.#registry = registry
    this.#home = home
  }

  /** Never older than the call: the revisions are read each time, before the rows. */
  async current(): Promise<Groups> {
    const { enrollments, authorities } = this.#registry
    const revisions = await Promise.all([enrollments.groupRevision(), authorities.revision()])
    const revision = revisions.join('/')
    if (this.#view?.revision !== revision) {
      const view = { revision, groups: this.#load() }
      this.#view = view
      view.groups.catch(() => {
        if (this.#view === view) this.#view = null
      })
    }
    return this.#view.groups
  }

  async #load(): Promise<Groups> {
    const groups: EnrollmentGroup[] = []
    let after: EnrollmentGroupId | null = null
    for (;;) {
      const rows: readonly EnrollmentGroup[] = await this.#registry.enrollments.listGroups({ after, limit: PAGE })
      groups.push(...rows)
      after = rows.at(-1)?.enrollmentGroupId ?? null
      if (rows.length < PAGE) break
    }
    const verified = new Map<string, Certificate>()
    for (const authority of await this.#registry.authorities.list(this.#home)) {
      if (authority.state.kind === 'verified') verified.set(authority.name, parseCertificate(authority.certificate))
    }
    return new Groups(groups, verified)
  }
}

/** One state of the groups. */
export class Groups {
  readonly symmetric: readonly SymmetricGroup[]
  /** Verified authorities that a group refers to by name. */
  readonly referred: AnchorSet
  readonly #byAuthority = new Map<string, EnrollmentGroup>()

  constructor(groups: readonly EnrollmentGroup[], verified: ReadonlyMap<string, Certificate>) {
    this.referred = new AnchorSet()
    const symmetric: SymmetricGroup[] = []
    for (const group of disabledFirst(groups)) {
      if (group.attestation.type === 'symmetricKey') {
        const { primaryKey, secondaryKey } = group.attestation
        const keys = [secretKeyOf(primaryKey), secretKeyOf(secondaryKey)] as const
        symmetric.push({ group, enrolled: [primaryKey, secondaryKey], keys })
      } else if ('caReferences' in group.attestation) {
        const { primary, secondary } = group.attestation.caReferences
        for (const name of [primary, secondary]) this.#refer(group, name === null ? undefined : verified.get(name))
      } else {
        const { primary, secondary } = group.attestation.signingCertificates
        for (const der of [primary, secondary]) if (der !== null) this.#add(group, parseCertificate(der))
      }
    }
    this.symmetric = symmetric
  }

  /** The CA nearest to the leaf of a verified path that a group names, or null when no group names any on it. */
  nearest(path: readonly Certificate[]): { readonly group: EnrollmentGroup; readonly authority: Certificate } | null {
    for (const authority of path.slice(1)) {
      const group = this.#byAuthority.get(authorityKey(authority))
      if (group !== undefined) return { group, authority }
    }
    return null
  }

  #refer(group: EnrollmentGroup, authority: Certificate | undefined): void {
    if (authority === undefined) return
    this.referred.add(authority)
    this.#add(group, authority)
  }

  #add(group: EnrollmentGroup, authority: Certificate): void {
    const key = authorityKey(authority)
    if (!this.#byAuthority.has(key)) this.#byAuthority.set(key, group)
  }
}

/** Where two groups name the same authority or key, the one that blocks decides; then the first by id. */
function disabledFirst(groups: readonly EnrollmentGroup[]): readonly EnrollmentGroup[] {
  return [
    ...groups.filter(({ status }) => status === 'disabled'),
    ...groups.filter(({ status }) => status === 'enabled'),
  ]
}

/**
 * A CA is its name and its key (RFC 5280 §6.1.1 (d)). Its certificate may be renewed or cross-signed: sending another
 * one must not lead past a group that blocks it.
 */
function authorityKey({ subject, spkiKey }: Certificate): string {
  return `${subject.key}\u0000${spkiKey}`
}
