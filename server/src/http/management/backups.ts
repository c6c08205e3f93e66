import { Readable } from 'node:stream'
import type { Backups } from '../../backup/take.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from './access.ts'

/** A reader that takes nothing for so long is gone: the backup it holds up keeps keys from being turned over. */
const STALLED_MS = 60_000

export interface BackupRoutesParts {
  readonly backups: Backups
  readonly access: ManagementAccess
}

/** Everything that the server keeps, as one sealed stream. */
export function backupRoutes(routes: Routes, { backups, access }: BackupRoutesParts): void {
  routes.post(
    '/holdfast/v1/backups',
    {
      ...access.may('backups.take', { name: 'backup.take' }),
      schema: { tags: ['management: backups'], summary: 'Take a backup: the answer is the file' },
    },
    async (_request, reply) => {
      const { id, createdTime, bytes } = backups.begin()
      const stream = Readable.from(bytes, { objectMode: false })
      reply.raw.setTimeout(STALLED_MS, () => stream.destroy(new Error('the reader of the backup stalled')))
      return reply
        .header('content-disposition', `attachment; filename="holdfast-${id}.backup"`)
        .header('last-modified', new Date(createdTime).toUTCString())
        .header('x-holdfast-backup', id)
        .type('application/octet-stream')
        .send(stream)
    },
  )
}
