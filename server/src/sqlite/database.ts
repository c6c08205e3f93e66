import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { HubError } from '../errors.ts'

export type SqlValue = null | number | string | Uint8Array
export type Row = Readonly<Record<string, SqlValue>>

/** How long a connection waits for another one of this process, e.g. a checkpoint that meets a reader. */
const BUSY_TIMEOUT_MS = 5_000

/** The WAL file is cut back to this size when it starts over. */
const WAL_KEPT_BYTES = 64 * 1024 * 1024

/**
 * Opens the one writing connection of a database file, made with mode 0600. Commits are synced to the disk
 * (`synchronous=FULL`); checkpoints are left to the caller, since an automatic one would run inside a commit.
 */
export function openWriter(path: string, limits: { maxPages?: number | undefined } = {}): DatabaseSync {
  createPrivateFile(path)
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true })
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = ${WAL_KEPT_BYTES};
    PRAGMA trusted_schema = OFF;
  `)
  if (limits.maxPages !== undefined) database.exec(`PRAGMA max_page_count = ${limits.maxPages}`)
  return database
}

/** Opens a connection that sees what has been committed and can change nothing. */
export function openReader(path: string): DatabaseSync {
  return new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS })
}

/** SQLite gives `-wal` and `-shm` the mode of the database file, so the mode is set before SQLite creates anything. */
export function createPrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

export function schemaVersion(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version'])
}

/** A change of the schema, and of what is stored in it. */
export type Migration = string | ((database: DatabaseSync) => void)

/**
 * Brings a database to the newest schema: `migrations[n]` leads from version n to n + 1, each in a transaction of its
 * own together with the version. Rejects a database that a newer release has written; there is no way back.
 */
export function migrate(database: DatabaseSync, migrations: readonly Migration[], subject: string): void {
  const found = schemaVersion(database)
  if (found > migrations.length) {
    throw new HubError(
      'internal',
      `${subject} was written by a newer Holdfast (schema ${found}; this one knows up to ${migrations.length}). ` +
        'Start that version, or restore a backup made before the upgrade.',
    )
  }
  for (const [version, migration] of migrations.entries()) {
    if (version < found) continue
    transaction(database, () => {
      if (typeof migration === 'string') database.exec(migration)
      else migration(database)
      database.exec(`PRAGMA user_version = ${version + 1}`)
    })
  }
}

/** Runs `work` in one immediate transaction; on a throw nothing of it remains. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    // Some failures, a full disk among them, have rolled back already (https://www.sqlite.org/lang_transaction.html §2.4).
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}
