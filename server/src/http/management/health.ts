import type { Metrics } from '../../metrics.ts'
import type { Routes } from '../routes.ts'
import { FOR_EVERYBODY } from '../stated-access.ts'
import type { ManagementAccess } from './access.ts'

const tags = ['health']

export interface HealthParts {
  readonly metrics: Metrics
  readonly access: ManagementAccess
  /** Whether the server can keep what it would be given. */
  readonly isReady: () => Promise<boolean>
}

/** Liveness and readiness tell nothing about the server but that; metrics name devices' habits, so they want a log-in. */
export function healthRoutes(routes: Routes, { metrics, access, isReady }: HealthParts): void {
  routes.get('/healthz', { config: FOR_EVERYBODY, schema: { tags } }, async () => ({ status: 'alive' }))
  routes.get('/readyz', { config: FOR_EVERYBODY, schema: { tags } }, async (_request, reply) => {
    if (await isReady()) return { status: 'ready' }
    return reply.code(503).send({ status: 'not-ready' })
  })
  routes.get('/metrics', { ...access.may('server.read'), schema: { tags } }, async (_request, reply) => {
    // Whether it is ready is among them.
    await isReady()
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics())
  })
}
