import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import { adviceFor, isRefusalRule } from '../../hub/refusals/refusal-guide.ts'
import type { Refusals } from '../../hub/refusals/refusals.ts'
import { parseHubName, printable } from '../../model/ids.ts'
import type { Clock } from '../../ports/clock.ts'
import type { RefusalFilter } from '../../ports/registry.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from './access.ts'
import { Followers, MAX_WAIT_SECONDS } from './followers.ts'

const tags = ['management: refusals']

const ListQuery = Type.Object({
  identity: Type.Optional(Type.String({ maxLength: 256 })),
  address: Type.Optional(Type.String({ maxLength: 64 })),
  rule: Type.Optional(Type.String({ maxLength: 128 })),
  hub: Type.Optional(Type.String()),
  after: Type.Optional(Type.Integer({ minimum: 0, description: 'Only what came after this sequence.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
  wait: Type.Optional(
    Type.Integer({ minimum: 0, maximum: MAX_WAIT_SECONDS, description: 'Seconds to wait for a first one.' }),
  ),
})

const DAY_SECONDS = 24 * 60 * 60
const SummaryQuery = Type.Object({
  since: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 3650 * DAY_SECONDS,
      description: 'Seconds back from now; a day unless given.',
    }),
  ),
})

export interface RefusalParts {
  readonly refusals: Refusals
  readonly clock: Clock
  readonly access: ManagementAccess
}

/** What was refused and why, newest first; `wait` with `after` follows what comes. */
export function refusalRoutes(routes: Routes, { refusals, clock, access }: RefusalParts): void {
  const followers = new Followers(routes, access)

  routes.get(
    '/holdfast/v1/refusals',
    { ...access.may('refusals.read'), schema: { tags, summary: 'List or follow', querystring: ListQuery } },
    async ({ query }, reply) => {
      const { wait = 0, limit = 100, hub, ...rest } = query
      if (rest.rule !== undefined && !isRefusalRule(rest.rule))
        throw new HubError(
          'argument-invalid',
          `No cause is called '${printable(rest.rule)}'; docs/errors.md lists all, 'holdfast refusals --summary' those that occur.`,
        )
      const filter: RefusalFilter = { ...rest, ...(hub === undefined ? {} : { hub: parseHubName(hub) }), limit }
      return pageJson(await followers.list(() => refusals.list(filter), wait, reply), filter)
    },
  )
  routes.get(
    '/holdfast/v1/refusals/summary',
    { ...access.may('refusals.read'), schema: { tags, summary: 'Count by cause', querystring: SummaryQuery } },
    async ({ query }) => {
      const counts = await refusals.countByRule(clock.now() - (query.since ?? DAY_SECONDS) * 1000)
      const value = counts.map(({ rule, count }) => ({ rule, count, meaning: adviceFor(rule).meaning }))
      return { value: value.toSorted((a, b) => b.count - a.count) }
    },
  )
  routes.get(
    '/holdfast/v1/refusals/:trackingId',
    {
      ...access.may('refusals.read'),
      schema: { tags, summary: 'Show', params: Type.Object({ trackingId: Type.String({ maxLength: 64 }) }) },
    },
    async ({ params }) => {
      const refusal = await refusals.get(params.trackingId)
      if (refusal === null)
        throw new HubError('operation-not-found', `No refusal has the tracking id '${printable(params.trackingId)}'.`)
      return refusal
    },
  )
}

type Found = Awaited<ReturnType<Refusals['list']>>

/** `next` is what to send as `after` to get only what comes later. */
function pageJson(found: Found, { after }: RefusalFilter) {
  return { value: found, next: found[0]?.sequence ?? after ?? 0 }
}
