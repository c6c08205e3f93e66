import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Row, SqlValue } from './database.ts'
import type { RowCipher } from './row-cipher.ts'
import { TABLES } from './schema.ts'
import type { TableName, TableShape } from './schema.ts'

/** Rows looked at in one transaction, so that no other write waits long. */
const BATCH = 200

/** Where a walk through the sealed tables stands: the last key seen of the table. */
export interface ResealCursor {
  readonly table: TableName
  readonly after: readonly SqlValue[]
}

export interface ResealStep {
  readonly looked: number
  readonly resealed: number
  /** null at the end. */
  readonly next: ResealCursor | null
}

const SEALED_TABLES = (Object.keys(TABLES) as TableName[]).filter((table) => shapeOf(table).columnsSealed.length > 0)

/** Looks at the next rows in the order of tables and keys, and seals those anew that an older data key sealed. */
export function resealStep(database: DatabaseSync, rows: RowCipher, cursor: ResealCursor | null): ResealStep {
  const [first] = SEALED_TABLES
  if (first === undefined) return { looked: 0, resealed: 0, next: null }
  const { table, after } = cursor ?? startOf(first)
  const { key, columnsSealed } = shapeOf(table)
  const batch = selectAfter(database, table).all(...after) as Row[]
  let resealed = 0
  for (const row of batch) {
    const sealed = rows.reseal(table, row)
    if (sealed === null) continue
    const values = columnsSealed.map((column) => sealed[column] ?? row[column] ?? null)
    updateOf(database, table).run(...values, ...key.map((column) => row[column] ?? null))
    resealed += 1
  }
  const last = batch.at(-1)
  const rest = batch.length === BATCH && last !== undefined
  const next = rest ? { table, after: key.map((column) => last[column] ?? null) } : afterTable(table)
  return { looked: batch.length, resealed, next }
}

export function rowsToReseal(database: DatabaseSync): number {
  const counts = SEALED_TABLES.map((table) => database.prepare(`SELECT count(*) AS count FROM ${table}`).get())
  return counts.reduce((sum, row) => sum + Number(row?.['count']), 0)
}

function afterTable(table: TableName): ResealCursor | null {
  const following = SEALED_TABLES[SEALED_TABLES.indexOf(table) + 1]
  return following === undefined ? null : startOf(following)
}

function startOf(table: TableName): ResealCursor {
  return { table, after: TABLES[table].key.map(() => '') }
}

function selectAfter(database: DatabaseSync, table: TableName): StatementSync {
  const { key, columnsSealed } = shapeOf(table)
  const keys = key.join(', ')
  return database.prepare(
    `SELECT ${[...key, ...columnsSealed].join(', ')} FROM ${table}
     WHERE (${keys}) > (${key.map(() => '?').join(', ')}) ORDER BY ${keys} LIMIT ${BATCH}`,
  )
}

function updateOf(database: DatabaseSync, table: TableName): StatementSync {
  const { key, columnsSealed } = shapeOf(table)
  const assignments = columnsSealed.map((column) => `${column} = ?`).join(', ')
  return database.prepare(`UPDATE ${table} SET ${assignments} WHERE ${key.map((name) => `${name} = ?`).join(' AND ')}`)
}

function shapeOf(table: TableName): { key: readonly string[]; columnsSealed: readonly string[] } {
  const shape: TableShape = TABLES[table]
  return { key: shape.key, columnsSealed: Object.keys(shape.sealed) }
}
