import { HubError } from '../errors.ts'
import type { ExpectedEtag } from '../model/etag.ts'
import { bareEtag } from '../model/etag.ts'
import type { Bus } from '../ports/bus.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { WriteOutcome } from '../ports/registry.ts'
import { uuid } from './identifiers.ts'

const MAX_BULK = 10
/** An unconditional write that keeps meeting others' writes gives up after so many. */
const WRITE_ATTEMPTS = 5
const ANY: ExpectedEtag = { kind: 'any' }

export const BULK_MODES = ['create', 'update', 'updateIfMatchETag', 'delete'] as const
export type BulkMode = (typeof BULK_MODES)[number]
export interface BulkResult {
  readonly failures: readonly { readonly id: string; readonly error: HubError }[]
}

interface Stamp {
  readonly etag: string
  readonly created: number
  readonly updated: number
}

interface WithEtag {
  readonly etag?: string | null | undefined
}

/** The rows of individual enrollments, or of groups, and how a draft becomes one. */
export interface EnrollmentRows<Id extends string, Row extends Stamp, Draft extends WithEtag> {
  readonly kind: 'individual' | 'group'
  /** For messages, with its article. */
  readonly noun: string
  /** As the client spelled it. */
  spelledId(draft: Draft): string
  parseId(text: string): Id
  make(draft: Draft, stored: Row | null): Omit<Row, keyof Stamp>
  get(id: Id): Promise<Row | null>
  create(row: Row): Promise<'written' | 'exists'>
  replace(row: Row, expected: ExpectedEtag): Promise<WriteOutcome>
  delete(id: Id, expected: ExpectedEtag): Promise<WriteOutcome>
}

/** What a write demands of the row that is there: none, one with this etag (or any), or whatever there is. */
type Intent = { readonly kind: 'create' | 'put' } | { readonly kind: 'replace'; readonly expected: ExpectedEtag }

/** The one set of rules by which both kinds of enrollment are written. */
export class EnrollmentCollection<Id extends string, Row extends Stamp, Draft extends WithEtag> {
  readonly #rows: EnrollmentRows<Id, Row, Draft>
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #random: Randomness

  constructor(rows: EnrollmentRows<Id, Row, Draft>, parts: { bus: Bus; clock: Clock; random: Randomness }) {
    this.#rows = rows
    this.#bus = parts.bus
    this.#clock = parts.clock
    this.#random = parts.random
  }

  async get(id: string): Promise<Row> {
    const row = await this.#rows.get(this.#rows.parseId(id))
    if (row === null) throw this.#notFound(id)
    return row
  }

  /** No expectation creates, `*` creates or replaces, an etag replaces that version alone. */
  put(draft: Draft, expected: ExpectedEtag | null): Promise<Row> {
    if (expected === null) return this.#write(draft, { kind: 'create' })
    return this.#write(draft, expected.kind === 'any' ? { kind: 'put' } : { kind: 'replace', expected })
  }

  async delete(id: string, expected: ExpectedEtag | null): Promise<Id> {
    const parsed = this.#rows.parseId(id)
    const outcome = await this.#rows.delete(parsed, expected ?? ANY)
    if (outcome === 'absent') throw this.#notFound(parsed)
    if (outcome === 'etag-mismatch') throw this.#stale(parsed)
    this.#tell(parsed)
    return parsed
  }

  /** Each of at most ten drafts succeeds or fails by itself. `remove` is what deleting one amounts to. */
  async bulk(
    mode: BulkMode,
    drafts: readonly Draft[],
    remove: (id: string, expected: ExpectedEtag | null) => Promise<void>,
  ): Promise<BulkResult> {
    if (drafts.length === 0 || drafts.length > MAX_BULK) {
      const message = `A bulk operation takes 1 to ${MAX_BULK} enrollments, not ${drafts.length}`
      throw new HubError('argument-invalid', message)
    }
    const failures: { id: string; error: HubError }[] = []
    for (const draft of drafts) {
      try {
        if (mode === 'delete') await remove(this.#rows.spelledId(draft), etagOf(draft))
        else await this.#write(draft, bulkIntent(mode, draft))
      } catch (error) {
        if (!(error instanceof HubError)) throw error
        failures.push({ id: this.#rows.spelledId(draft), error })
      }
    }
    return { failures }
  }

  /** A loser of a race reads again what the winner wrote. */
  async #write(draft: Draft, intent: Intent): Promise<Row> {
    const id = this.#rows.parseId(this.#rows.spelledId(draft))
    for (let attempt = 0; attempt < WRITE_ATTEMPTS; attempt++) {
      const stored = await this.#rows.get(id)
      if (stored === null && intent.kind === 'replace') throw this.#notFound(id)
      if (stored !== null && intent.kind === 'create') throw this.#exists(id)
      const isConditional = intent.kind === 'replace' && intent.expected.kind === 'exactly'
      if (stored !== null && isConditional && intent.expected.etag !== bareEtag(stored.etag)) throw this.#stale(id)
      const row = this.#stamped(draft, stored)
      // What the draft leaves out was taken from `stored`, so that very version is what may be replaced.
      const outcome =
        stored === null
          ? await this.#rows.create(row)
          : await this.#rows.replace(row, { kind: 'exactly', etag: bareEtag(stored.etag) })
      if (outcome === 'written') {
        this.#tell(id)
        return row
      }
    }
    throw new HubError('throttled', `Others keep writing ${this.#rows.noun} '${id}': try again`, { retryAfter: 1 })
  }

  #tell(id: Id): void {
    this.#bus.publish({ kind: 'enrollments-changed', enrollment: { kind: this.#rows.kind, id } })
  }

  #stamped(draft: Draft, stored: Row | null): Row {
    const now = this.#clock.now()
    const stamp: Stamp = { etag: uuid(this.#random), created: stored?.created ?? now, updated: now }
    // A row is what `make` leaves open plus the stamp; the compiler does not add the two up for a type parameter.
    return { ...this.#rows.make(draft, stored), ...stamp } as Row
  }

  #notFound(id: string): HubError {
    return new HubError('enrollment-not-found', `There is no ${this.#rows.noun} '${id}'`)
  }

  #exists(id: string): HubError {
    const message = `There is already an ${this.#rows.noun} '${id}': send its etag in If-Match to replace it`
    return new HubError('enrollment-already-exists', message)
  }

  #stale(id: string): HubError {
    return new HubError('precondition-failed', `The etag is not the current one of ${this.#rows.noun} '${id}'`)
  }
}

function bulkIntent(mode: Exclude<BulkMode, 'delete'>, draft: WithEtag): Intent {
  if (mode === 'create') return { kind: 'create' }
  if (mode === 'update') return { kind: 'replace', expected: ANY }
  const expected = etagOf(draft)
  if (expected === null) throw new HubError('argument-invalid', 'updateIfMatchETag needs the etag of each enrollment')
  return { kind: 'replace', expected }
}

function etagOf({ etag }: WithEtag): ExpectedEtag | null {
  return etag === null || etag === undefined ? null : { kind: 'exactly', etag: bareEtag(etag) }
}
