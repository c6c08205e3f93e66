import { HubError } from '../errors.ts'
import { SealError } from '../keys/envelope.ts'
import type { Sealer } from '../keys/envelope.ts'
import type { Row, SqlValue } from './database.ts'
import { TABLES } from './schema.ts'
import type { TableName, TableShape } from './schema.ts'

/**
 * Seals the columns of a row that are not searched. Each is bound to its table, its column and the key of its row: a value
 * that was put into another row does not open.
 */
export class RowCipher {
  readonly #sealer: Sealer

  constructor(sealer: Sealer) {
    this.#sealer = sealer
  }

  get sealer(): Sealer {
    return this.#sealer
  }

  seal(table: TableName, row: Row): Row {
    const shape: TableShape = TABLES[table]
    const sealed: Record<string, SqlValue> = { ...row }
    for (const column of Object.keys(shape.sealed)) {
      const plain = row[column] ?? null
      if (plain !== null) sealed[column] = this.#sealer.seal(bytesFor(plain), contextOf(table, column, row))
    }
    return sealed
  }

  /** Opens what the row has of sealed columns, in place. The row needs the columns of its key. */
  open(table: TableName, row: Record<string, SqlValue>): Row {
    const shape: TableShape = TABLES[table]
    for (const [column, form] of Object.entries(shape.sealed)) {
      const sealed = row[column]
      if (sealed === undefined || sealed === null) continue
      const plain = this.#open(table, column, sealed, row)
      row[column] = form === 'text' ? plain.toString('utf8') : new Uint8Array(plain)
    }
    return row
  }

  /** The row's columns that another data key than the present one sealed, sealed anew; null when there are none. */
  reseal(table: TableName, row: Row): Row | null {
    const shape: TableShape = TABLES[table]
    const sealed: Record<string, SqlValue> = {}
    for (const column of Object.keys(shape.sealed)) {
      const old = row[column]
      if (!(old instanceof Uint8Array) || this.#sealer.keyOf(old) === this.#sealer.currentKey) continue
      const plain = this.#open(table, column, old, row)
      sealed[column] = this.#sealer.seal(plain, contextOf(table, column, row))
    }
    return Object.keys(sealed).length === 0 ? null : sealed
  }

  #open(table: TableName, column: string, sealed: SqlValue, row: Row): Buffer {
    try {
      if (!(sealed instanceof Uint8Array)) throw new SealError('it is not sealed')
      return this.#sealer.open(sealed, contextOf(table, column, row))
    } catch (cause) {
      if (!(cause instanceof SealError)) throw cause
      const key = TABLES[table].key.map((name) => String(row[name])).join(', ')
      throw new HubError(
        'internal',
        `registry.db is damaged: ${column} of the row (${key}) of ${table} cannot be opened: ${cause.message}.`,
        { cause },
      )
    }
  }
}

function contextOf(table: TableName, column: string, row: Row): string {
  return `${table}/${column}/${JSON.stringify(TABLES[table].key.map((name) => row[name]))}`
}

function bytesFor(value: Exclude<SqlValue, null>): Uint8Array {
  return value instanceof Uint8Array ? value : Buffer.from(String(value))
}
