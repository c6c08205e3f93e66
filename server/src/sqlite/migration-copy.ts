import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { createPrivateFile, schemaVersion } from './database.ts'

/**
 * Keeps a database as it is, beside it, before it is brought to a newer schema: `registry.db.before-6` when it came with
 * schema 5. With that copy in its place the release before can be started again. Only the newest copy stays.
 */
export function copyBeforeMigration(database: DatabaseSync, path: string): void {
  const name = `${basename(path)}.before-`
  const folder = dirname(path)
  const copy = join(folder, `${name}${schemaVersion(database) + 1}`)
  const draft = `${copy}.part`
  rmSync(draft, { force: true })
  createPrivateFile(draft)
  database.prepare('VACUUM INTO ?').run(draft)
  sync(draft)
  renameSync(draft, copy)
  sync(folder)
  for (const file of readdirSync(folder)) {
    if (file.startsWith(name) && file !== basename(copy)) rmSync(join(folder, file))
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
