import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { HubError } from '../errors.ts'
import { guarded } from './fault.ts'
import type { Row, SqlValue } from './database.ts'

const SUBJECT = 'The registry'

/** A prepared query of the reading connection; it sees everything committed so far. */
export class Query {
  readonly #database: DatabaseSync
  readonly #statement: StatementSync

  constructor(database: DatabaseSync, sql: string) {
    this.#database = database
    this.#statement = database.prepare(sql)
  }

  one(...values: SqlValue[]): Row | null {
    return this.#read(() => this.#statement.get(...values) as Row | undefined) ?? null
  }

  all(...values: SqlValue[]): readonly Row[] {
    return this.#read(() => this.#statement.all(...values) as readonly Row[])
  }

  #read<T>(read: () => T): T {
    if (!this.#database.isOpen) throw new HubError('shutting-down', `${SUBJECT} is closed.`)
    return guarded(SUBJECT, read)
  }
}

export function textOf(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw new TypeError(`Column ${column} does not hold text.`)
  return value
}

export function numberOf(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== 'number') throw new TypeError(`Column ${column} does not hold a number.`)
  return value
}

export function bytesOf(row: Row, column: string): Uint8Array {
  const value = row[column]
  if (!(value instanceof Uint8Array)) throw new TypeError(`Column ${column} does not hold bytes.`)
  return value
}
