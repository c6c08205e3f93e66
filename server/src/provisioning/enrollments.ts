import { HubError } from '../errors.ts'
import { newKey } from '../hub/registry/access-policies.ts'
import type {
  EnrollmentGroup,
  GroupAttestation,
  IndividualAttestation,
  IndividualEnrollment,
} from '../model/enrollment.ts'
import type { ExpectedEtag } from '../model/etag.ts'
import { parseEnrollmentGroupId, parseRegistrationId } from '../model/ids.ts'
import type { EnrollmentGroupId, RegistrationId } from '../model/ids.ts'
import type { Registration } from '../model/registration.ts'
import type { Bus } from '../ports/bus.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { EnrollmentStore, Registry } from '../ports/registry.ts'
import { EnrollmentCollection } from './enrollment-collection.ts'
import type { BulkMode, BulkResult } from './enrollment-collection.ts'
import { groupFromDraft, individualFromDraft } from './enrollment-drafts.ts'
import type { EnrollmentGroupDraft, IndividualEnrollmentDraft, NewEnrollmentGroup } from './enrollment-drafts.ts'

export { BULK_MODES } from './enrollment-collection.ts'
export type { BulkMode, BulkResult } from './enrollment-collection.ts'

/** All groups are held in memory; and for each token of a device that has no enrollment of its own, all keys are tried. */
const MAX_GROUPS = { x509: 1_000, symmetricKey: 100 }

export interface PageRequest {
  /** `next` of the page before, or null for the first page. */
  readonly after: string | null
  readonly limit: number
}
export interface Page<Item> {
  readonly items: readonly Item[]
  /** Null on the last page. */
  readonly next: string | null
}

/**
 * Enrollments and registration records as an operator keeps them. A put without an expected etag creates, and rejects
 * with `enrollment-already-exists`; `*` creates or replaces; an etag replaces that version alone (`precondition-failed`,
 * `enrollment-not-found`). A draft that makes no sense rejects with `argument-invalid`.
 */
export class Enrollments {
  readonly #registry: Registry
  readonly #makeKey: () => string
  readonly #individuals: EnrollmentCollection<RegistrationId, IndividualEnrollment, IndividualEnrollmentDraft>
  readonly #groups: EnrollmentCollection<EnrollmentGroupId, EnrollmentGroup, EnrollmentGroupDraft>

  constructor(parts: { registry: Registry; bus: Bus; clock: Clock; random: Randomness }) {
    this.#registry = parts.registry
    const { enrollments } = parts.registry
    const makeKey = () => newKey(parts.random)
    this.#makeKey = makeKey
    this.#individuals = new EnrollmentCollection(individualRows(enrollments, makeKey), parts)
    this.#groups = new EnrollmentCollection(groupRows(enrollments, makeKey), parts)
  }

  putIndividual(draft: IndividualEnrollmentDraft, expected: ExpectedEtag | null): Promise<IndividualEnrollment> {
    return this.#individuals.put(draft, expected)
  }

  putGroup(draft: EnrollmentGroupDraft, expected: ExpectedEtag | null): Promise<EnrollmentGroup> {
    return this.#groups.put(draft, expected)
  }

  /** The group as it is, and as this draft would leave it. Rejects with `argument-invalid`. */
  async previewGroup(
    draft: EnrollmentGroupDraft,
  ): Promise<{ readonly stored: EnrollmentGroup | null; readonly next: NewEnrollmentGroup }> {
    const id = parseEnrollmentGroupId(draft.enrollmentGroupId)
    const stored = await this.#registry.enrollments.getGroup(id)
    return { stored, next: groupFromDraft(draft, stored, this.#makeKey) }
  }

  getIndividual(id: string): Promise<IndividualEnrollment> {
    return this.#individuals.get(id)
  }

  getGroup(id: string): Promise<EnrollmentGroup> {
    return this.#groups.get(id)
  }

  /** The attestation with its secrets, which other answers leave out. */
  async attestation(id: string): Promise<IndividualAttestation> {
    return (await this.getIndividual(id)).attestation
  }

  async groupAttestation(id: string): Promise<GroupAttestation> {
    return (await this.getGroup(id)).attestation
  }

  /** Forgets the registration record of this enrollment too; a hub's device stays until it is deleted there. */
  async deleteIndividual(id: string, expected: ExpectedEtag | null): Promise<void> {
    const registrationId = await this.#individuals.delete(id, expected)
    const record = await this.#registry.registrations.get(registrationId)
    if (record?.enrollment.kind !== 'individual') return
    await this.#registry.registrations.delete(registrationId, { kind: 'exactly', etag: record.etag })
  }

  /** The registration records of its devices stay, and tell what the group did. */
  async deleteGroup(id: string, expected: ExpectedEtag | null): Promise<void> {
    await this.#groups.delete(id, expected)
  }

  async listIndividual({ after, limit }: PageRequest): Promise<Page<IndividualEnrollment>> {
    const from = after === null ? null : parseRegistrationId(after)
    const items = await this.#registry.enrollments.listIndividual({ after: from, limit: limit + 1 })
    return pageOf(items, limit, (item) => item.registrationId)
  }

  async listGroups({ after, limit }: PageRequest): Promise<Page<EnrollmentGroup>> {
    const from = after === null ? null : parseEnrollmentGroupId(after)
    const items = await this.#registry.enrollments.listGroups({ after: from, limit: limit + 1 })
    return pageOf(items, limit, (item) => item.enrollmentGroupId)
  }

  /** Each of at most ten drafts succeeds or fails by itself. */
  bulk(mode: BulkMode, drafts: readonly IndividualEnrollmentDraft[]): Promise<BulkResult> {
    return this.#individuals.bulk(mode, drafts, (id, expected) => this.deleteIndividual(id, expected))
  }

  bulkGroups(mode: BulkMode, drafts: readonly EnrollmentGroupDraft[]): Promise<BulkResult> {
    return this.#groups.bulk(mode, drafts, (id, expected) => this.deleteGroup(id, expected))
  }

  /** Rejects with `registration-not-found`. */
  async getRegistration(id: string): Promise<Registration> {
    const registration = await this.#registry.registrations.get(parseRegistrationId(id))
    if (registration === null) throw new HubError('registration-not-found', `No device has registered as '${id}'`)
    return registration
  }

  /** The hub's device stays; the next registration of this id is judged as a first one. */
  async deleteRegistration(id: string, expected: ExpectedEtag | null): Promise<void> {
    const outcome = await this.#registry.registrations.delete(parseRegistrationId(id), expected ?? { kind: 'any' })
    if (outcome === 'absent') throw new HubError('registration-not-found', `No device has registered as '${id}'`)
    if (outcome === 'etag-mismatch')
      throw new HubError('precondition-failed', `The etag is not the current one of registration '${id}'`)
  }

  async listRegistrations(groupId: string, { after, limit }: PageRequest): Promise<Page<Registration>> {
    const { enrollmentGroupId } = await this.getGroup(groupId)
    const from = after === null ? null : parseRegistrationId(after)
    const request = { after: from, limit: limit + 1 }
    const items = await this.#registry.registrations.listByGroup(enrollmentGroupId, request)
    return pageOf(items, limit, (item) => item.registrationId)
  }
}

function individualRows(store: EnrollmentStore, makeKey: () => string) {
  return {
    kind: 'individual' as const,
    noun: 'individual enrollment',
    spelledId: (draft: IndividualEnrollmentDraft) => draft.registrationId,
    parseId: parseRegistrationId,
    make: (draft: IndividualEnrollmentDraft, stored: IndividualEnrollment | null) =>
      individualFromDraft(draft, stored, makeKey),
    get: (id: RegistrationId) => store.getIndividual(id),
    create: (row: IndividualEnrollment) => store.createIndividual(row),
    replace: (row: IndividualEnrollment, expected: ExpectedEtag) => store.replaceIndividual(row, expected),
    delete: (id: RegistrationId, expected: ExpectedEtag) => store.deleteIndividual(id, expected),
  }
}

function groupRows(store: EnrollmentStore, makeKey: () => string) {
  return {
    kind: 'group' as const,
    noun: 'enrollment group',
    spelledId: (draft: EnrollmentGroupDraft) => draft.enrollmentGroupId,
    parseId: parseEnrollmentGroupId,
    make: (draft: EnrollmentGroupDraft, stored: EnrollmentGroup | null) => groupFromDraft(draft, stored, makeKey),
    get: (id: EnrollmentGroupId) => store.getGroup(id),
    create: async (row: EnrollmentGroup) => {
      await assertRoom(store, row)
      return store.createGroup(row)
    },
    replace: async (row: EnrollmentGroup, expected: ExpectedEtag) => {
      await assertRoom(store, row)
      return store.replaceGroup(row, expected)
    },
    delete: (id: EnrollmentGroupId, expected: ExpectedEtag) => store.deleteGroup(id, expected),
  }
}

/** Two writers at the limit may pass it by one: it guards memory and time, and no rule hangs on its exact value. */
async function assertRoom(store: EnrollmentStore, { enrollmentGroupId, attestation }: EnrollmentGroup): Promise<void> {
  const groups = await store.listGroups({ after: null, limit: MAX_GROUPS.x509 + MAX_GROUPS.symmetricKey })
  const others = groups.filter(
    (group) => group.attestation.type === attestation.type && group.enrollmentGroupId !== enrollmentGroupId,
  )
  const limit = MAX_GROUPS[attestation.type]
  if (others.length < limit) return
  const message = `There are ${limit} enrollment groups with ${attestation.type} attestation, which is the limit: delete one`
  throw new HubError('argument-invalid', message)
}

function pageOf<Item>(items: readonly Item[], limit: number, idOf: (item: Item) => string): Page<Item> {
  if (items.length <= limit) return { items, next: null }
  const shown = items.slice(0, limit)
  const last = shown.at(-1)
  return { items: shown, next: last === undefined ? null : idOf(last) }
}
