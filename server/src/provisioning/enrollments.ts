import { HubError } from '../errors.ts'
import type { HubErrorCode } from '../errors.ts'
import type {
  EnrollmentGroup,
  GroupAttestation,
  IndividualAttestation,
  IndividualEnrollment,
} from '../model/enrollment.ts'
import type { ExpectedEtag } from '../model/etag.ts'
import { bareEtag } from '../model/etag.ts'
import { parseEnrollmentGroupId, parseRegistrationId } from '../model/ids.ts'
import type { EnrollmentGroupId, RegistrationId } from '../model/ids.ts'
import type { Registration } from '../model/registration.ts'
import type { Bus } from '../ports/bus.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { Registry, WriteOutcome } from '../ports/registry.ts'
import { groupFromDraft, individualFromDraft } from './enrollment-drafts.ts'
import type { EnrollmentGroupDraft, IndividualEnrollmentDraft } from './enrollment-drafts.ts'
import { newKey } from '../hub/access-policies.ts'
import { uuid } from './identifiers.ts'

/** Groups are looked up for each registration and held in memory. */
export const MAX_ENROLLMENT_GROUPS = 1_000
const MAX_BULK = 10
const WRITE_ATTEMPTS = 5
const ANY: ExpectedEtag = { kind: 'any' }

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

export const BULK_MODES = ['create', 'update', 'updateIfMatchETag', 'delete'] as const
export type BulkMode = (typeof BULK_MODES)[number]
export interface BulkResult {
  readonly failures: readonly { readonly id: string; readonly error: HubError }[]
}

/** What a write demands of the row that is there: none, the one with this etag, or whatever there is. */
type Intent = { kind: 'create' } | { kind: 'replace'; expected: ExpectedEtag } | { kind: 'put' }

/** The few words by which individual enrollments and groups differ to a write. */
interface Collection<Id extends string, Row extends { readonly etag: string; readonly created: number }, Draft> {
  readonly noun: string
  id(draft: Draft): Id
  get(id: Id): Promise<Row | null>
  make(draft: Draft, stored: Row | null, stamp: { etag: string; created: number; updated: number }): Row
  create(row: Row): Promise<'written' | 'exists'>
  replace(row: Row, expected: ExpectedEtag): Promise<WriteOutcome>
  delete(id: Id, expected: ExpectedEtag): Promise<WriteOutcome>
}

/**
 * Enrollments and registration records as an operator keeps them. A put without an expected etag creates, and rejects
 * with `enrollment-already-exists`; `*` creates or replaces; an etag replaces that version alone (`precondition-failed`).
 */
export class Enrollments {
  readonly #registry: Registry
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #random: Randomness
  readonly #individuals: Collection<RegistrationId, IndividualEnrollment, IndividualEnrollmentDraft>
  readonly #groups: Collection<EnrollmentGroupId, EnrollmentGroup, EnrollmentGroupDraft>

  constructor(parts: { registry: Registry; bus: Bus; clock: Clock; random: Randomness }) {
    this.#registry = parts.registry
    this.#bus = parts.bus
    this.#clock = parts.clock
    this.#random = parts.random
    const makeKey = () => newKey(parts.random)
    const rows = parts.registry.enrollments
    this.#individuals = {
      noun: 'enrollment',
      id: (draft) => parseRegistrationId(draft.registrationId),
      get: (id) => rows.getIndividual(id),
      make: (draft, stored, stamp) => ({ ...individualFromDraft(draft, stored, makeKey), ...stamp }),
      create: (row) => rows.createIndividual(row),
      replace: (row, expected) => rows.replaceIndividual(row, expected),
      delete: (id, expected) => rows.deleteIndividual(id, expected),
    }
    this.#groups = {
      noun: 'enrollment group',
      id: (draft) => parseEnrollmentGroupId(draft.enrollmentGroupId),
      get: (id) => rows.getGroup(id),
      make: (draft, stored, stamp) => ({ ...groupFromDraft(draft, stored, makeKey), ...stamp }),
      create: (row) => this.#createGroup(row),
      replace: (row, expected) => rows.replaceGroup(row, expected),
      delete: (id, expected) => rows.deleteGroup(id, expected),
    }
  }

  putIndividual(draft: IndividualEnrollmentDraft, expected: ExpectedEtag | null): Promise<IndividualEnrollment> {
    return this.#write(this.#individuals, draft, intentOf(expected))
  }

  putGroup(draft: EnrollmentGroupDraft, expected: ExpectedEtag | null): Promise<EnrollmentGroup> {
    return this.#write(this.#groups, draft, intentOf(expected))
  }

  async getIndividual(id: string): Promise<IndividualEnrollment> {
    return found(this.#individuals, parseRegistrationId(id))
  }

  async getGroup(id: string): Promise<EnrollmentGroup> {
    return found(this.#groups, parseEnrollmentGroupId(id))
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
    const registrationId = parseRegistrationId(id)
    await this.#delete(this.#individuals, registrationId, expected)
    const record = await this.#registry.registrations.get(registrationId)
    if (record?.enrollment.kind !== 'individual') return
    await this.#registry.registrations.delete(registrationId, { kind: 'exactly', etag: record.etag })
  }

  /** The registration records of its devices stay, and tell what the group did. */
  async deleteGroup(id: string, expected: ExpectedEtag | null): Promise<void> {
    await this.#delete(this.#groups, parseEnrollmentGroupId(id), expected)
  }

  async listIndividual({ after, limit }: PageRequest): Promise<Page<IndividualEnrollment>> {
    const from = after === null ? null : parseRegistrationId(after)
    const items = await this.#registry.enrollments.listIndividual({ after: from, limit: limit + 1 })
    return page(items, limit, (item) => item.registrationId)
  }

  async listGroups({ after, limit }: PageRequest): Promise<Page<EnrollmentGroup>> {
    const from = after === null ? null : parseEnrollmentGroupId(after)
    const items = await this.#registry.enrollments.listGroups({ after: from, limit: limit + 1 })
    return page(items, limit, (item) => item.enrollmentGroupId)
  }

  /** Each of at most ten drafts succeeds or fails by itself. */
  bulk(mode: BulkMode, drafts: readonly IndividualEnrollmentDraft[]): Promise<BulkResult> {
    return this.#bulk(
      mode,
      drafts,
      this.#individuals,
      (draft) => draft.registrationId,
      (id, expected) => this.deleteIndividual(id, expected),
    )
  }

  bulkGroups(mode: BulkMode, drafts: readonly EnrollmentGroupDraft[]): Promise<BulkResult> {
    return this.#bulk(
      mode,
      drafts,
      this.#groups,
      (draft) => draft.enrollmentGroupId,
      (id, expected) => this.deleteGroup(id, expected),
    )
  }

  async getRegistration(id: string): Promise<Registration> {
    const registration = await this.#registry.registrations.get(parseRegistrationId(id))
    if (registration === null) throw new HubError('registration-not-found', `No device has registered as '${id}'`)
    return registration
  }

  /** The hub's device stays; the next registration of this id is judged as a first one. */
  async deleteRegistration(id: string, expected: ExpectedEtag | null): Promise<void> {
    const outcome = await this.#registry.registrations.delete(parseRegistrationId(id), expected ?? ANY)
    assertWritten(outcome, 'registration-not-found', `registration '${id}'`)
  }

  async listRegistrations(groupId: string, { after, limit }: PageRequest): Promise<Page<Registration>> {
    const group = await this.getGroup(groupId)
    const from = after === null ? null : parseRegistrationId(after)
    const items = await this.#registry.registrations.listByGroup(group.enrollmentGroupId, {
      after: from,
      limit: limit + 1,
    })
    return page(items, limit, (item) => item.registrationId)
  }

  /** Bounded: a loser of a race reads again what the winner wrote. */
  async #write<Id extends string, Row extends { readonly etag: string; readonly created: number }, Draft>(
    collection: Collection<Id, Row, Draft>,
    draft: Draft,
    intent: Intent,
  ): Promise<Row> {
    const id = collection.id(draft)
    for (let attempt = 0; attempt < WRITE_ATTEMPTS; attempt++) {
      const stored = await collection.get(id)
      const what = `${collection.noun} '${id}'`
      if (stored === null && intent.kind === 'replace') throw notFound(what)
      if (stored !== null && intent.kind === 'create') throw alreadyExists(what)
      const now = this.#clock.now()
      const stamp = { etag: uuid(this.#random), created: stored?.created ?? now, updated: now }
      const row = collection.make(draft, stored, stamp)
      const outcome = await this.#store(collection, row, stored, intent)
      if (outcome === 'written') return row
      if (outcome === 'etag-mismatch' && intent.kind === 'replace' && intent.expected.kind === 'exactly')
        throw preconditionFailed(what)
    }
    throw new HubError('throttled', `${collection.noun} '${id}' is being written by others: try again`, {
      retryAfter: 1,
    })
  }

  /** What the draft left out was taken from `stored`, so that very version is what gets replaced. */
  async #store<Id extends string, Row extends { readonly etag: string; readonly created: number }, Draft>(
    collection: Collection<Id, Row, Draft>,
    row: Row,
    stored: Row | null,
    intent: Intent,
  ): Promise<WriteOutcome | 'exists'> {
    const expected: ExpectedEtag = { kind: 'exactly', etag: bareEtag(stored?.etag ?? '') }
    const asked = intent.kind === 'replace' && intent.expected.kind === 'exactly' ? intent.expected : expected
    if (stored !== null && asked.etag !== expected.etag) return 'etag-mismatch'
    const outcome = stored === null ? await collection.create(row) : await collection.replace(row, expected)
    if (outcome === 'written') this.#bus.publish({ kind: 'enrollments-changed' })
    return outcome
  }

  async #delete<Id extends string, Row extends { readonly etag: string; readonly created: number }, Draft>(
    collection: Collection<Id, Row, Draft>,
    id: Id,
    expected: ExpectedEtag | null,
  ): Promise<void> {
    const outcome = await collection.delete(id, expected ?? ANY)
    assertWritten(outcome, 'enrollment-not-found', `${collection.noun} '${id}'`)
    this.#bus.publish({ kind: 'enrollments-changed' })
  }

  async #createGroup(group: EnrollmentGroup): Promise<'written' | 'exists'> {
    const present = await this.#registry.enrollments.listGroups({ after: null, limit: MAX_ENROLLMENT_GROUPS })
    if (present.length >= MAX_ENROLLMENT_GROUPS) {
      throw new HubError(
        'argument-invalid',
        `There are ${MAX_ENROLLMENT_GROUPS} enrollment groups already, which is the limit: delete one that is no longer used`,
      )
    }
    return this.#registry.enrollments.createGroup(group)
  }

  async #bulk<
    Id extends string,
    Row extends { readonly etag: string; readonly created: number },
    Draft extends {
      readonly etag?: string | null | undefined
    },
  >(
    mode: BulkMode,
    drafts: readonly Draft[],
    collection: Collection<Id, Row, Draft>,
    idOf: (draft: Draft) => string,
    remove: (id: string, expected: ExpectedEtag | null) => Promise<void>,
  ): Promise<BulkResult> {
    if (drafts.length === 0 || drafts.length > MAX_BULK)
      throw new HubError(
        'argument-invalid',
        `A bulk operation takes 1 to ${MAX_BULK} enrollments, not ${drafts.length}`,
      )
    const failures: { id: string; error: HubError }[] = []
    for (const draft of drafts) {
      try {
        if (mode === 'delete') await remove(idOf(draft), etagOf(draft))
        else await this.#write(collection, draft, bulkIntent(mode, draft))
      } catch (error) {
        if (!(error instanceof HubError)) throw error
        failures.push({ id: idOf(draft), error })
      }
    }
    return { failures }
  }
}

function intentOf(expected: ExpectedEtag | null): Intent {
  if (expected === null) return { kind: 'create' }
  return expected.kind === 'any' ? { kind: 'put' } : { kind: 'replace', expected }
}

function bulkIntent(mode: Exclude<BulkMode, 'delete'>, draft: { readonly etag?: string | null | undefined }): Intent {
  if (mode === 'create') return { kind: 'create' }
  if (mode === 'update') return { kind: 'replace', expected: ANY }
  const expected = etagOf(draft)
  if (expected === null) throw new HubError('argument-invalid', 'updateIfMatchETag needs the etag of each enrollment')
  return { kind: 'replace', expected }
}

function etagOf(draft: { readonly etag?: string | null | undefined }): ExpectedEtag | null {
  return typeof draft.etag === 'string' ? { kind: 'exactly', etag: bareEtag(draft.etag) } : null
}

async function found<Id extends string, Row>(
  collection: { readonly noun: string; get(id: Id): Promise<Row | null> },
  id: Id,
): Promise<Row> {
  const row = await collection.get(id)
  if (row === null) throw notFound(`${collection.noun} '${id}'`)
  return row
}

function page<Item>(items: readonly Item[], limit: number, idOf: (item: Item) => string): Page<Item> {
  if (items.length <= limit) return { items, next: null }
  const shown = items.slice(0, limit)
  const last = shown.at(-1)
  return { items: shown, next: last === undefined ? null : idOf(last) }
}

function assertWritten(outcome: WriteOutcome, absent: HubErrorCode, what: string): void {
  if (outcome === 'absent') throw new HubError(absent, `There is no ${what}`)
  if (outcome === 'etag-mismatch') throw preconditionFailed(what)
}

const notFound = (what: string) => new HubError('enrollment-not-found', `There is no ${what}`)

const alreadyExists = (what: string) =>
  new HubError('enrollment-already-exists', `There is an ${what} already: send its etag in If-Match to replace it`)

const preconditionFailed = (what: string) =>
  new HubError('precondition-failed', `The etag is not the current one of ${what}: read it again`)
