import { Type } from 'typebox'
import type { ExpiryWatch } from '../../hub/authorities/expiry-watch.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from './access.ts'

const DAY_SECONDS = 24 * 60 * 60
const MAX_SECONDS = 100 * 365 * DAY_SECONDS

const ExpiryQuery = Type.Object({
  within: Type.Optional(
    Type.Integer({ minimum: 0, maximum: MAX_SECONDS, description: 'Seconds from now; 30 days unless given.' }),
  ),
})

export interface ExpiryRoutesParts {
  readonly expiry: ExpiryWatch
  readonly clock: Clock
  readonly access: ManagementAccess
}

/** What ends when: the server's own certificate, CAs, intermediates, enrolments, devices. */
export function expiryRoutes(routes: Routes, { expiry, clock, access }: ExpiryRoutesParts): void {
  routes.get(
    '/holdfast/v1/expiry',
    {
      ...access.may('server.read'),
      schema: { tags: ['management: status'], summary: 'List what expires', querystring: ExpiryQuery },
    },
    async ({ query }) => {
      const { items, unlistedDevices } = await expiry.list((query.within ?? 30 * DAY_SECONDS) * 1000)
      const now = clock.now()
      const value = items.map(({ kind, hub, name, subject, notAfter }) => ({
        kind,
        hub: hub as string | null,
        name,
        subject,
        notAfter: new Date(notAfter).toISOString(),
        seconds: Math.round((notAfter - now) / 1000),
      }))
      return { value, unlistedDevices }
    },
  )
}
