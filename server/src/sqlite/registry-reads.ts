import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { HubError } from '../errors.ts'
import { guarded } from './fault.ts'
import type { Row, SqlValue } from './database.ts'
import type { RowCipher } from './row-cipher.ts'
import type { TableName } from './schema.ts'

const SUBJECT = 'The registry'

/** The reading connection, and what opens the sealed columns of its rows. */
export interface RegistryReader {
  readonly database: DatabaseSync
  readonly rows: RowCipher
}

/**
 * A prepared query of the reading connection; it sees everything committed so far. With a table, its sealed columns come
 * opened; the query then has to select the columns of the table's key too.
 */
export class Query {
  readonly #reader: RegistryReader
  readonly #statement: StatementSync
  readonly #table: TableName | null

  constructor(reader: RegistryReader, sql: string, table: TableName | null = null) {
    this.#reader = reader
    this.#statement = reader.database.prepare(sql)
    this.#table = table
  }

  one(...values: SqlValue[]): Row | null {
    return this.#read(() => {
      const row = this.#statement.get(...values) as Record<string, SqlValue> | undefined
      return row === undefined ? null : this.#opened(row)
    })
  }

  all(...values: SqlValue[]): readonly Row[] {
    return this.#read(() =>
      (this.#statement.all(...values) as Record<string, SqlValue>[]).map((row) => this.#opened(row)),
    )
  }

  #opened(row: Record<string, SqlValue>): Row {
    return this.#table === null ? row : this.#reader.rows.open(this.#table, row)
  }

  #read<T>(read: () => T): T {
    if (!this.#reader.database.isOpen) throw new HubError('shutting-down', `${SUBJECT} is closed.`)
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
