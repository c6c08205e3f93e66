import { HubError } from '../../errors.ts'
import type { Metrics } from '../../metrics.ts'
import type { SettingStore } from '../../ports/registry.ts'
import type { RequestStep, Routes } from '../routes.ts'

const tags = ['health']

export interface HealthParts {
  readonly settings: SettingStore
  readonly metrics: Metrics
  readonly requireToken: RequestStep
  /** False from the moment the server drains. */
  readonly accepting: () => boolean
}

/** Liveness and readiness tell nothing about the server but that; metrics name devices' habits, so they want the token. */
export function healthRoutes(routes: Routes, { settings, metrics, requireToken, accepting }: HealthParts): void {
  routes.get('/healthz', { schema: { tags } }, async () => ({ status: 'alive' }))
  routes.get('/readyz', { schema: { tags } }, async () => {
    if (!accepting()) throw new HubError('shutting-down', 'The server is shutting down.')
    await settings.get('readiness')
    return { status: 'ready' }
  })
  routes.get('/metrics', { onRequest: requireToken, schema: { tags } }, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )
}
