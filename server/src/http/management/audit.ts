import { Type } from 'typebox'
import type { AuditLog } from '../../audit/audit-log.ts'
import type { DangerousActs } from '../../operators/dangerous-acts/dangerous-acts.ts'
import { askerOf } from '../asker.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { Routes } from '../routes.ts'
import { actorOf } from '../stated-access.ts'
import type { ManagementAccess } from './access.ts'
import { Followers, MAX_WAIT_SECONDS } from './followers.ts'

const tags = ['management: audit log']
const ListQuery = Type.Object({
  after: Type.Optional(Type.Integer({ minimum: 0, description: 'Only entries after this sequence.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
  wait: Type.Optional(
    Type.Integer({ minimum: 0, maximum: MAX_WAIT_SECONDS, description: 'Seconds to wait for a first one.' }),
  ),
})

const PruneBody = Type.Object(
  {
    upTo: Type.Integer({ minimum: 1, description: 'Sequence of the last entry that goes: the last one of a file.' }),
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Of the lines of all of them, each with its LF.' }),
  },
  { additionalProperties: false },
)

export interface AuditRoutesParts {
  readonly audit: Omit<AuditLog, 'prune'>
  readonly dangerous: Pick<DangerousActs, 'audit'>
  readonly access: ManagementAccess
}

/** The audit log, line by line as it lies on the disk, so that a copy can be verified elsewhere. */
export function auditRoutes(routes: Routes, { audit, dangerous, access }: AuditRoutesParts): void {
  const followers = new Followers(routes, access)
  routes.get(
    '/holdfast/v1/audit',
    { ...access.may('audit.read'), schema: { tags, summary: 'List or follow, oldest first', querystring: ListQuery } },
    async ({ query }, reply) => {
      const { after = 0, limit = 100, wait = 0 } = query
      return { lines: await followers.list(() => audit.read({ after, limit }), wait, reply) }
    },
  )
  routes.get('/holdfast/v1/audit/state', { ...access.may('audit.read'), schema: { tags, summary: 'Show' } }, async () =>
    audit.facts(),
  )
  routes.get(
    '/holdfast/v1/audit/segments',
    { ...access.may('audit.read'), schema: { tags, summary: 'List the files that are complete' } },
    async () => ({ value: await audit.closedSegments() }),
  )
  routes.post(
    '/holdfast/v1/audit/prune',
    {
      ...access.may('audit.prune', { name: 'audit.prune' }),
      schema: { tags, summary: 'Take the older part off; whoever asks proves that he has read it', body: PruneBody },
    },
    async (request) => dangerous.audit.prune(askerOf(request), request.body),
  )
  routes.post(
    '/holdfast/v1/audit/checkpoint',
    { ...access.may('audit.sign', { name: 'audit.checkpoint' }), schema: { tags, summary: 'Sign what is there' } },
    async () => audit.checkpoint(),
  )
  routes.post(
    '/holdfast/v1/audit/key/rotate',
    { ...access.may('keys.rotate'), schema: { tags, summary: 'Sign with another key from now on' } },
    async (request) => {
      const { address, protocol } = peerOfRequest(request)
      const who = actorOf(request)
      return { keyId: await audit.rotateKey({ who, from: { address, protocol }, trackingId: request.id }) }
    },
  )
}
