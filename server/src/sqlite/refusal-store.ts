import type { Refusal, RefusalRule } from '../model/refusal.ts'
import type { RefusalFilter, RefusalStore } from '../ports/registry.ts'
import type { Row, SqlValue } from './database.ts'
import { Query, numberOf, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'
import { WriteBehind } from './write-behind.ts'

/** A refusal reaches the disk within this time, ms. */
const FLUSH_MS = 500
/** Refusals that may wait; under a flood those beyond are not stored. */
const MAX_WAITING = 5_000
/** Refusals of one write, so that no commit takes long. */
const MAX_BATCH = 500

/** A read first writes what waits, so that an operator sees the refusal that a device has just been told of. */
export class SqliteRefusalStore implements RefusalStore {
  readonly #reader: RegistryReader
  readonly #get: Query
  readonly #countByRule: Query
  /** One query for each combination of filters, at most 64. */
  readonly #lists = new Map<string, Query>()
  readonly #waiting: WriteBehind<Refusal>

  constructor(
    reader: RegistryReader,
    writer: RegistryWriter,
    { capacity, onError }: { capacity: number; onError: (error: unknown) => void },
  ) {
    this.#reader = reader
    this.#get = new Query(reader, 'SELECT tracking_id, doc FROM refusals WHERE tracking_id = ?', 'refusals')
    this.#countByRule = new Query(
      reader,
      'SELECT rule, count(*) AS count FROM refusals WHERE time >= ? GROUP BY rule ORDER BY rule',
    )
    this.#waiting = new WriteBehind({
      flushMs: FLUSH_MS,
      maxWaiting: MAX_WAITING,
      maxBatch: MAX_BATCH,
      write: (refusals) => writer.write({ kind: 'refuse', refusals: refusals.map(rowOf), capacity }),
      onError,
    })
  }

  add(refusal: Refusal): void {
    this.#waiting.note(refusal.trackingId, refusal)
  }

  async get(trackingId: string): Promise<Refusal | null> {
    await this.flush()
    const row = this.#get.one(trackingId)
    return row === null ? null : refusalOf(row)
  }

  async list(filter: RefusalFilter): Promise<readonly (Refusal & { readonly sequence: number })[]> {
    await this.flush()
    const conditions: string[] = []
    const values: SqlValue[] = []
    for (const [condition, value] of conditionsOf(filter)) {
      if (value === undefined) continue
      conditions.push(condition)
      values.push(value)
    }
    const rows = this.#list(conditions).all(...values, filter.limit)
    return rows.map((row) => ({ ...refusalOf(row), sequence: numberOf(row, 'sequence') }))
  }

  async countByRule(since: number): Promise<readonly { readonly rule: RefusalRule; readonly count: number }[]> {
    await this.flush()
    return this.#countByRule
      .all(since)
      .map((row) => ({ rule: textOf(row, 'rule') as RefusalRule, count: numberOf(row, 'count') }))
  }

  flush(): Promise<void> {
    return this.#waiting.flush()
  }

  close(): Promise<void> {
    return this.#waiting.close()
  }

  #list(conditions: readonly string[]): Query {
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`
    let query = this.#lists.get(where)
    if (query === undefined) {
      query = new Query(
        this.#reader,
        `SELECT sequence, tracking_id, doc FROM refusals ${where} ORDER BY sequence DESC LIMIT ?`,
        'refusals',
      )
      this.#lists.set(where, query)
    }
    return query
  }
}

function conditionsOf(filter: RefusalFilter): readonly (readonly [string, SqlValue | undefined])[] {
  return [
    ['identity = ?', filter.identity],
    ['address = ?', filter.address],
    ['rule = ?', filter.rule],
    ['hub = ?', filter.hub],
    ['sequence < ?', filter.before],
    ['sequence > ?', filter.after],
  ]
}

function rowOf(refusal: Refusal): Row {
  return {
    tracking_id: refusal.trackingId,
    time: refusal.time,
    hub: refusal.hub,
    identity: refusal.identity,
    address: refusal.peer.address,
    rule: refusal.rule,
    doc: JSON.stringify(refusal),
  }
}

function refusalOf(row: Row): Refusal {
  return JSON.parse(textOf(row, 'doc')) as Refusal
}
