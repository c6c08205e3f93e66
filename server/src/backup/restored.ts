import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { AuditLog } from '../audit/audit-log.ts'
import { ownRecord } from '../audit/chain.ts'

/** Left in a restored folder for the first server that starts on it. */
export const RESTORED_FILE = 'restored.json'

export interface Restored {
  readonly backup: string
  /** ISO 8601: of the backup. */
  readonly createdTime: string
  /** ISO 8601. */
  readonly restoredTime: string
}

/** Writes into the audit log that the folder was restored: no server ran that could have. */
export async function recordRestore(folder: string, audit: AuditLog): Promise<void> {
  const path = join(folder, RESTORED_FILE)
  if (!existsSync(path)) return
  const { backup, createdTime, restoredTime } = JSON.parse(readFileSync(path, 'utf8')) as Restored
  await audit.append({ ...ownRecord('event', 'server.restored'), detail: { backup, createdTime, restoredTime } })
  rmSync(path)
}
