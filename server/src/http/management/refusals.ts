import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import { adviceFor } from '../../hub/refusal-guide.ts'
import type { Refusals } from '../../hub/refusals.ts'
import { parseHubName, printable } from '../../model/ids.ts'
import type { Clock } from '../../ports/clock.ts'
import type { RefusalFilter } from '../../ports/registry.ts'
import type { RequestStep, Routes } from '../routes.ts'

const tags = ['management: refusals']
/** Refusals reach the store in batches, within a second; a waiting reader looks this often. */
const LOOK_INTERVAL_MS = 500
const MAX_WAIT_SECONDS = 30
const MAX_WAITING = 16

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
  readonly requireToken: RequestStep
}

/** What was refused and why, newest first; `wait` with `after` follows what comes. */
export function refusalRoutes(routes: Routes, { refusals, clock, requireToken: onRequest }: RefusalParts): void {
  const closing = new AbortController()
  let waiting = 0
  routes.addHook('preClose', async () => closing.abort())

  routes.get(
    '/holdfast/v1/refusals',
    { onRequest, schema: { tags, summary: 'List or follow', querystring: ListQuery } },
    async ({ query }, reply) => {
      const { wait = 0, limit = 100, hub, ...rest } = query
      const filter: RefusalFilter = { ...rest, ...(hub === undefined ? {} : { hub: parseHubName(hub) }), limit }
      const found = await refusals.list(filter)
      if (found.length > 0 || wait === 0) return pageJson(found, filter)
      if (waiting >= MAX_WAITING)
        throw new HubError('throttled', `${MAX_WAITING} readers are waiting already.`, { retryAfter: wait })
      waiting++
      try {
        return pageJson(await listWhenThere(refusals, filter, wait, untilGone(reply, closing.signal)), filter)
      } finally {
        waiting--
      }
    },
  )
  routes.get(
    '/holdfast/v1/refusals/summary',
    { onRequest, schema: { tags, summary: 'Count by cause', querystring: SummaryQuery } },
    async ({ query }) => {
      const counts = await refusals.countByRule(clock.now() - (query.since ?? DAY_SECONDS) * 1000)
      const value = counts.map(({ rule, count }) => ({ rule, count, meaning: adviceFor(rule).meaning }))
      return { value: value.toSorted((a, b) => b.count - a.count) }
    },
  )
  routes.get(
    '/holdfast/v1/refusals/:trackingId',
    {
      onRequest,
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

async function listWhenThere(
  refusals: Refusals,
  filter: RefusalFilter,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<Found> {
  for (let looks = Math.ceil((waitSeconds * 1000) / LOOK_INTERVAL_MS); looks > 0 && !signal.aborted; looks--) {
    // The wait ends early when the reader leaves or the server closes: both are no failure.
    await delay(LOOK_INTERVAL_MS, undefined, { signal }).catch(() => undefined)
    const found = await refusals.list(filter)
    if (found.length > 0) return found
  }
  return []
}

function untilGone(reply: FastifyReply, closing: AbortSignal): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return AbortSignal.any([gone.signal, closing])
}

/** `next` is what to send as `after` to get only what comes later. */
function pageJson(found: Found, { after }: RefusalFilter) {
  return { value: found, next: found[0]?.sequence ?? after ?? 0 }
}
