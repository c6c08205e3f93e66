import { isDeepStrictEqual } from 'node:util'
import { HubError } from '../../errors.ts'
import type { Sessions } from '../../hub/sessions/sessions.ts'
import { DANGEROUS_ACTS } from '../../model/dangerous-act.ts'
import type { DangerousActName } from '../../model/dangerous-act.ts'
import type { EnrollmentGroup } from '../../model/enrollment.ts'
import { etagMatches } from '../../model/etag.ts'
import type { ExpectedEtag } from '../../model/etag.ts'
import { subjects } from '../../model/ground.ts'
import type { BulkMode, BulkResult, Enrollments } from '../../provisioning/enrollments.ts'
import type { EnrollmentGroupDraft, NewEnrollmentGroup } from '../../provisioning/enrollment-drafts.ts'
import type { Asker, SecondPerson } from '../second-person.ts'

export interface EnrollmentGroupActParts {
  readonly enrollments: Enrollments
  readonly sessions: Pick<Sessions, 'under'>
  readonly secondPerson: SecondPerson
}

/** The gravest first. */
type Dangers = readonly [DangerousActName, ...DangerousActName[]]

/** An etag that no version has. */
const NO_VERSION: ExpectedEtag = { kind: 'exactly', etag: '' }

/** Changes of enrolment groups. New ones, and what cuts nobody off, are done at once. */
export class EnrollmentGroupActs {
  readonly #parts: EnrollmentGroupActParts

  constructor(parts: EnrollmentGroupActParts) {
    this.#parts = parts
  }

  /** As `Enrollments.putGroup`. */
  async put(asker: Asker, draft: EnrollmentGroupDraft, expected: ExpectedEtag | null): Promise<EnrollmentGroup> {
    const { enrollments } = this.#parts
    if (expected === null) return enrollments.putGroup(draft, null)
    const { stored, next } = await enrollments.previewGroup(draft)
    if (stored === null) return enrollments.putGroup(draft, expected)
    if (!etagMatches(expected, stored.etag)) return enrollments.putGroup(draft, NO_VERSION)
    const acts = dangersOf(stored, next)
    if (acts !== null) await this.#demand(asker, acts, stored)
    return enrollments.putGroup(draft, { kind: 'exactly', etag: stored.etag })
  }

  /** As `Enrollments.deleteGroup`. */
  async delete(asker: Asker, id: string, expected: ExpectedEtag | null): Promise<void> {
    const { enrollments } = this.#parts
    const stored = await enrollments.getGroup(id)
    if (expected !== null && !etagMatches(expected, stored.etag)) return enrollments.deleteGroup(id, NO_VERSION)
    await this.#demand(asker, ['enrollment-group.delete'], stored)
    await enrollments.deleteGroup(id, { kind: 'exactly', etag: stored.etag })
  }

  /** As `Enrollments.bulkGroups`; one dangerous item makes the whole of it wait. */
  async bulk(asker: Asker, mode: BulkMode, drafts: readonly EnrollmentGroupDraft[]): Promise<BulkResult> {
    const { enrollments } = this.#parts
    for (const draft of mode === 'create' ? [] : drafts) {
      const danger = await this.#dangerIn(mode, draft)
      if (danger !== null) await this.#demand(asker, danger.acts, danger.stored)
    }
    return enrollments.bulkGroups(mode, drafts)
  }

  /** What cannot be judged fails by itself when it is done. */
  async #dangerIn(
    mode: BulkMode,
    draft: EnrollmentGroupDraft,
  ): Promise<{ acts: Dangers; stored: EnrollmentGroup } | null> {
    const { enrollments } = this.#parts
    try {
      if (mode === 'delete')
        return { acts: ['enrollment-group.delete'], stored: await enrollments.getGroup(draft.enrollmentGroupId) }
      const { stored, next } = await enrollments.previewGroup(draft)
      const acts = stored === null ? null : dangersOf(stored, next)
      return acts === null || stored === null ? null : { acts, stored }
    } catch (error) {
      if (error instanceof HubError && error.code !== 'internal') return null
      throw error
    }
  }

  /** One request is one approval: whoever gives it is told each act that is in it. */
  #demand(asker: Asker, [act, ...others]: Dangers, { enrollmentGroupId: id, etag }: EnrollmentGroup): Promise<void> {
    const { secondPerson, sessions } = this.#parts
    const also = others.map((other) => ` It is '${other}' too, which ${DANGEROUS_ACTS[other]}.`).join('')
    return secondPerson.demand(asker, act, () => ({
      state: etag,
      cutsOff: `${sessions.under(subjects.enrollment({ kind: 'group', id })).length} live connections rest on group '${id}'.${also}`,
    }))
  }
}

/** What outlives the others comes first: a group that is disabled is enabled again by anybody who may write it. */
function dangersOf(stored: EnrollmentGroup, next: NewEnrollmentGroup): Dangers | null {
  const acts: DangerousActName[] = []
  if (!isDeepStrictEqual(stored.attestation, next.attestation)) acts.push('enrollment-group.reroot')
  if (stored.sealed === 'verify' && next.sealed !== 'verify') acts.push('enrollment-group.unseal')
  if (stored.status === 'enabled' && next.status === 'disabled') acts.push('enrollment-group.disable')
  const [first, ...others] = acts
  return first === undefined ? null : [first, ...others]
}
