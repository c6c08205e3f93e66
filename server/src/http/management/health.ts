import { HubError } from '../../errors.ts'
import type { Metrics } from '../../metrics.ts'
import type { SettingStore } from '../../ports/registry.ts'
import type { Routes } from '../routes.ts'
import { FOR_EVERYBODY } from '../stated-access.ts'
import type { ManagementAccess } from './access.ts'

const tags = ['health']

export interface HealthParts {
  readonly settings: SettingStore
  readonly metrics: Metrics
  readonly access: ManagementAccess
  /** False from the moment the server drains. */
  readonly accepting: () => boolean
}

/** Liveness and readiness tell nothing about the server but that; metrics name devices' habits, so they want a log-in. */
export function healthRoutes(routes: Routes, { settings, metrics, access, accepting }: HealthParts): void {
  routes.get('/healthz', { config: FOR_EVERYBODY, schema: { tags } }, async () => ({ status: 'alive' }))
  routes.get('/readyz', { config: FOR_EVERYBODY, schema: { tags } }, async () => {
    if (!accepting()) throw new HubError('shutting-down', 'The server is shutting down.')
    await settings.get('readiness')
    return { status: 'ready' }
  })
  routes.get('/metrics', { ...access.may('server.read'), schema: { tags } }, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )
}
