import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { etagMatches } from '../model/etag.ts'
import type { ExpectedEtag } from '../model/etag.ts'
import type { Row } from './database.ts'
import type { RowCipher } from './row-cipher.ts'
import { TABLES } from './schema.ts'
import type { TableName, TableShape } from './schema.ts'

/** What the main thread asks of the registry's writer. Rows are complete, keys hold the key columns alone. */
export type SingleWrite =
  | { readonly kind: 'create'; readonly table: TableName; readonly row: Row }
  | { readonly kind: 'put'; readonly table: TableName; readonly row: Row }
  | { readonly kind: 'replace'; readonly table: TableName; readonly row: Row; readonly expected: ExpectedEtag }
  | { readonly kind: 'delete'; readonly table: TableName; readonly key: Row; readonly expected: ExpectedEtag }
  | {
      readonly kind: 'complete'
      readonly registration: Row
      readonly device: Row | null
      /** null: the device must be absent. */
      readonly expected: ExpectedEtag | null
      readonly leave: Row | null
    }
  | { readonly kind: 'touch'; readonly touches: readonly Row[] }
  | { readonly kind: 'refuse'; readonly refusals: readonly Row[]; readonly capacity: number }
  | { readonly kind: 'sight'; readonly sightings: readonly Row[] }

/** `several`: each on its own merits, in one transaction. */
export type Write = SingleWrite | { readonly kind: 'several'; readonly writes: readonly SingleWrite[] }

export type Outcome = 'written' | 'exists' | 'absent' | 'etag-mismatch' | 'conflict'
export type WriteResult = Outcome | readonly Outcome[]

/** Carries out writes on the connection it is given, inside whatever transaction that is in. */
export class RegistryWrites {
  readonly #database: DatabaseSync
  /** Bounded by the statements below: a handful for each table. */
  readonly #statements = new Map<string, StatementSync>()
  readonly #rows: RowCipher

  constructor(database: DatabaseSync, rows: RowCipher) {
    this.#database = database
    this.#rows = rows
  }

  run(write: Write): WriteResult {
    if (write.kind === 'several') return write.writes.map((one) => this.#runOne(one))
    return this.#runOne(write)
  }

  #runOne(write: SingleWrite): Outcome {
    switch (write.kind) {
      case 'create':
        return this.#create(write.table, write.row) ? 'written' : 'exists'
      case 'put':
        this.#put(write.table, write.row)
        return 'written'
      case 'replace':
        return this.#replace(write.table, write.row, write.expected)
      case 'delete':
        return this.#delete(write.table, write.key, write.expected)
      case 'complete':
        return this.#complete(write)
      case 'touch':
        for (const touch of write.touches) this.#touch(touch)
        return 'written'
      case 'sight':
        for (const sighting of write.sightings) this.#statement(SIGHT).run(sighting)
        this.#statement(FORGET_PATHS).run()
        return 'written'
    }
    return this.#refuse(write.refusals, write.capacity)
  }

  #touch({ certificate = null, ...times }: Row): void {
    const isThere = this.#statement(TOUCH).run(times).changes === 1
    if (certificate === null || !isThere) return
    const { hub = null, device_id = null, last_activity_time = null } = times
    const seen = { hub, device_id, certificate, last_seen: last_activity_time }
    if (this.#statement(SEE_AGAIN).run(seen).changes === 1) return
    this.#statement(SEE_CERTIFICATE).run(seen)
    this.#statement(FORGET_CERTIFICATES).run({ hub, device_id })
  }

  #create(table: TableName, row: Row): boolean {
    const { key, columns } = TABLES[table]
    const sql = `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${named(columns)}) ON CONFLICT (${key.join(', ')}) DO NOTHING`
    return this.#statement(sql).run(this.#rows.seal(table, row)).changes === 1
  }

  #put(table: TableName, row: Row): void {
    const { key, columns } = TABLES[table]
    const assignments = columns.map((column) => `${column} = excluded.${column}`).join(', ')
    const sql = `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${named(columns)}) ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${assignments}`
    this.#statement(sql).run(this.#rows.seal(table, row))
  }

  #replace(table: TableName, row: Row, expected: ExpectedEtag): Outcome {
    const judged = this.#judge(table, keyOf(table, row), expected)
    if (judged === 'written') this.#statement(updateSql(table)).run(this.#rows.seal(table, row))
    return judged
  }

  #delete(table: TableName, key: Row, expected: ExpectedEtag): Outcome {
    const judged = this.#judge(table, key, expected)
    if (judged === 'written') this.#statement(`DELETE FROM ${table} WHERE ${keyCondition(table)}`).run(key)
    return judged
  }

  /** `'written'` stands for: the row is there and as expected. Tables without etags take every expectation as met. */
  #judge(table: TableName, key: Row, expected: ExpectedEtag): 'written' | 'absent' | 'etag-mismatch' {
    const columns: readonly string[] = TABLES[table].columns
    const etag = columns.includes('etag') ? 'etag' : `'*'`
    const found = this.#statement(`SELECT ${etag} AS etag FROM ${table} WHERE ${keyCondition(table)}`).get(key)
    if (found === undefined) return 'absent'
    return etagMatches(expected, String(found['etag'])) ? 'written' : 'etag-mismatch'
  }

  #complete({ registration, device, expected, leave }: Extract<SingleWrite, { kind: 'complete' }>): Outcome {
    if (device !== null) {
      const put =
        expected === null ? this.#create('devices', device) : this.#replace('devices', device, expected) === 'written'
      if (!put) return 'conflict'
    }
    if (leave !== null) this.#delete('devices', leave, { kind: 'any' })
    this.#put('registrations', registration)
    return 'written'
  }

  #refuse(refusals: readonly Row[], capacity: number): Outcome {
    for (const refusal of refusals) this.#statement(REFUSE).run(this.#rows.seal('refusals', refusal))
    this.#statement(FORGET_REFUSALS).run({ capacity })
    return 'written'
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

const TOUCH = `
  UPDATE devices SET
    last_activity_time = ${later('last_activity_time')},
    connection_state_updated_time = ${later('connection_state_updated_time')}
  WHERE hub = :hub AND device_id = :device_id`

const SEE_AGAIN = `
  UPDATE certificates_seen SET last_seen = max(last_seen, :last_seen)
  WHERE hub = :hub AND device_id = :device_id AND certificate = :certificate`

const SEE_CERTIFICATE = `
  INSERT INTO certificates_seen (hub, device_id, certificate, last_seen)
  VALUES (:hub, :device_id, :certificate, :last_seen)`

const FORGET_CERTIFICATES = `
  DELETE FROM certificates_seen WHERE hub = :hub AND device_id = :device_id AND certificate IN (
    SELECT certificate FROM certificates_seen WHERE hub = :hub AND device_id = :device_id
    ORDER BY last_seen DESC LIMIT -1 OFFSET 8)`

/** Of a device that is there; what is older than the row says nothing new. */
const SIGHT = `
  INSERT INTO sightings (hub, device_id, path, leaf, leaf_subject, leaf_not_after, seen, source)
  SELECT :hub, :device_id, :path, :leaf, :leaf_subject, :leaf_not_after, :seen, :source
  WHERE EXISTS (SELECT 1 FROM devices WHERE hub = :hub AND device_id = :device_id)
  ON CONFLICT DO UPDATE SET path = excluded.path, leaf = excluded.leaf, leaf_subject = excluded.leaf_subject,
    leaf_not_after = excluded.leaf_not_after, seen = excluded.seen, source = excluded.source
  WHERE excluded.seen >= seen`

/** Of the paths that no device uses any more, the last thousand are kept. */
const FORGET_PATHS = `
  DELETE FROM sighted_paths WHERE devices = 0 AND last_seen < (
    SELECT last_seen FROM sighted_paths WHERE devices = 0 ORDER BY last_seen DESC LIMIT 1 OFFSET 999)`

const REFUSE = `
  INSERT INTO refusals (tracking_id, time, hub, identity, address, rule, doc)
  VALUES (:tracking_id, :time, :hub, :identity, :address, :rule, :doc) ON CONFLICT DO NOTHING`

/** Sequences have no gaps: the newest row is never deleted and the next one gets its sequence plus one. */
const FORGET_REFUSALS = `DELETE FROM refusals WHERE sequence <= (SELECT max(sequence) FROM refusals) - :capacity`

function updateSql(table: TableName): string {
  const shape: TableShape = TABLES[table]
  const assignments = shape.columns
    .filter((column) => !shape.key.includes(column))
    .map((column) => `${column} = ${shape.monotone.includes(column) ? later(column) : `:${column}`}`)
  return `UPDATE ${table} SET ${assignments.join(', ')} WHERE ${keyCondition(table)}`
}

/** The later of the stored and the given time, either of which may be NULL. */
function later(column: string): string {
  return `max(ifnull(${column}, :${column}), ifnull(:${column}, ${column}))`
}

function keyCondition(table: TableName): string {
  return TABLES[table].key.map((column) => `${column} = :${column}`).join(' AND ')
}

function keyOf(table: TableName, row: Row): Row {
  return Object.fromEntries(TABLES[table].key.map((column) => [column, row[column] ?? null]))
}

function named(columns: readonly string[]): string {
  return columns.map((column) => `:${column}`).join(', ')
}
