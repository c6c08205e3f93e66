import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { HubError } from '../errors.ts'
import { createPrivateFile } from './database.ts'

/** https://www.sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5

/** Holds a data folder for this process until released. */
export interface FolderLock {
  release(): void
}

/**
 * Makes the folder (mode 0700) and keeps every other server out of it. The lock is one that the operating system takes
 * away when the process ends in whatever way: SQLite's exclusive lock on a small database.
 */
export function lockFolder(folder: string): FolderLock {
  createFolder(folder)
  const path = join(folder, 'lock.db')
  createPrivateFile(path)
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: unknown }).errcode !== SQLITE_BUSY) throw error
    throw new HubError(
      'internal',
      `The data folder ${folder} is in use by another Holdfast server; stop that one or choose another folder.`,
      { cause: error },
    )
  }
  return { release: () => database.close() }
}

/** Makes the folder (mode 0700) where it is missing; its name is on the disk when this returns. */
export function createFolder(folder: string): void {
  if (mkdirSync(folder, { recursive: true, mode: 0o700 }) === undefined) return
  const parent = openSync(dirname(folder), 'r')
  try {
    fsyncSync(parent)
  } finally {
    closeSync(parent)
  }
}
