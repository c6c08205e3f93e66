import type { DatabaseSync } from 'node:sqlite'
import type { Row, SqlValue } from './database.ts'
import type { RowCipher } from './row-cipher.ts'
import type { TableName } from './schema.ts'

/** Rows read at a time. */
const BATCH = 1_000

interface OpenTable {
  readonly table: TableName
  readonly key: readonly string[]
  /** TEXT that becomes a BLOB. */
  readonly text: string
  /** BLOBs that stay BLOBs. */
  readonly blobs: readonly string[]
}

/** The tables as the schema had them before; part of a migration, so never to be edited. */
const TABLES_BEFORE: readonly OpenTable[] = [
  { table: 'devices', key: ['hub', 'device_id'], text: 'doc', blobs: [] },
  { table: 'authorities', key: ['hub', 'name'], text: 'doc', blobs: ['certificate'] },
  {
    table: 'individual_enrollments',
    key: ['registration_id'],
    text: 'doc',
    blobs: ['primary_certificate', 'secondary_certificate'],
  },
  {
    table: 'enrollment_groups',
    key: ['enrollment_group_id'],
    text: 'doc',
    blobs: ['primary_certificate', 'secondary_certificate'],
  },
  { table: 'registrations', key: ['registration_id'], text: 'doc', blobs: ['leaf', 'signer'] },
  { table: 'policies', key: ['owner', 'name'], text: 'doc', blobs: [] },
  { table: 'refusals', key: ['tracking_id'], text: 'doc', blobs: [] },
  { table: 'revocation_records', key: ['hub', 'kind', 'id'], text: 'doc', blobs: ['certificate'] },
  { table: 'alarms', key: ['id'], text: 'doc', blobs: [] },
  { table: 'credential_uses', key: ['hub', 'device_id', 'certificate'], text: 'doc', blobs: [] },
  { table: 'webhooks', key: ['hub', 'id'], text: 'doc', blobs: [] },
  { table: 'settings', key: ['key'], text: 'value', blobs: [] },
]

/** Marks a file whose free pages may still hold what was there before; gone after `clearFreePages`. */
const MARK = 'unsealed_pages'

/** Seals every row of a registry that was written in the clear; one transaction, which the caller opens. */
export function sealRegistry(database: DatabaseSync, rows: RowCipher): void {
  // It names a column that is replaced below.
  database.exec('DROP TRIGGER revocation_records_update')
  let sealed = 0
  for (const table of TABLES_BEFORE) sealed += sealTable(database, table, rows)
  database.exec(`
    CREATE TRIGGER revocation_records_update AFTER UPDATE OF doc ON revocation_records BEGIN
      UPDATE revisions SET value = value + 1 WHERE name = 'revocations';
      UPDATE revocation_records SET sequence = (SELECT value FROM revisions WHERE name = 'revocations')
        WHERE hub = NEW.hub AND kind = NEW.kind AND id = NEW.id;
    END;
  `)
  if (sealed > 0) database.exec(`INSERT INTO revisions VALUES ('${MARK}', ${sealed})`)
}

/** Rewrites the file when it may hold remains in the clear; returns how many rows had been sealed, 0 for nothing done. */
export function clearFreePages(database: DatabaseSync): number {
  const row = database.prepare(`SELECT value FROM revisions WHERE name = '${MARK}'`).get()
  if (row === undefined) return 0
  // secure_delete is on: the pages that VACUUM frees are zeroed; the write-ahead log goes with the checkpoint.
  database.exec('VACUUM; PRAGMA wal_checkpoint(TRUNCATE)')
  database.exec(`DELETE FROM revisions WHERE name = '${MARK}'`)
  return Number(row['value'])
}

function sealTable(database: DatabaseSync, { table, key, text, blobs }: OpenTable, rows: RowCipher): number {
  const keys = key.join(', ')
  const condition = key.map((name) => `${name} = :${name}`).join(' AND ')
  const assignments = [`sealed_${text} = :${text}`, ...blobs.map((name) => `${name} = :${name}`)].join(', ')
  database.exec(`ALTER TABLE ${table} ADD COLUMN sealed_${text} BLOB NOT NULL DEFAULT x''`)
  const select = database.prepare(
    `SELECT ${[...key, text, ...blobs].join(', ')} FROM ${table}
     WHERE (${keys}) > (${key.map(() => '?').join(', ')}) ORDER BY ${keys} LIMIT ${BATCH}`,
  )
  const update = database.prepare(`UPDATE ${table} SET ${assignments} WHERE ${condition}`)
  let after: SqlValue[] = key.map(() => '')
  let count = 0
  for (;;) {
    const batch = select.all(...after) as Row[]
    for (const row of batch) update.run(rows.seal(table, row))
    count += batch.length
    const last = batch.at(-1)
    if (last === undefined) break
    after = key.map((name) => last[name] ?? '')
  }
  database.exec(`
    ALTER TABLE ${table} DROP COLUMN ${text};
    ALTER TABLE ${table} RENAME COLUMN sealed_${text} TO ${text};
  `)
  return count
}
