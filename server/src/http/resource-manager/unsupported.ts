import type { HTTPMethods } from 'fastify'
import { HubError } from '../../errors.ts'
import type { Routes } from '../routes.ts'
import { FOR_EVERYBODY } from '../stated-access.ts'
import { HUB_BASE } from './iot-hubs.ts'
import { SERVICE_BASE } from './provisioning-services.ts'

/** Operations on resources that this server knows of and does not offer: they answer 501 by name. */
const UNSUPPORTED: readonly (readonly [readonly HTTPMethods[], string, string])[] = [
  [['PUT', 'PATCH', 'DELETE'], HUB_BASE, 'Changing a hub over this API (it is configured at the server)'],
  [['GET'], `${HUB_BASE}/IotHubStats`, 'Usage statistics'],
  [['GET'], `${HUB_BASE}/quotaMetrics`, 'Quota metrics'],
  [['GET'], `${HUB_BASE}/skus`, 'Tiers'],
  [['GET'], `${HUB_BASE}/jobs`, 'Jobs'],
  [['GET'], `${HUB_BASE}/jobs/:job`, 'Jobs'],
  [['POST'], `${HUB_BASE}/exportDevices`, 'Export jobs'],
  [['POST'], `${HUB_BASE}/importDevices`, 'Import jobs'],
  [['POST'], `${HUB_BASE}/routing/routes/:test`, 'Message routing'],
  [['GET'], `${HUB_BASE}/routingEndpointsHealth`, 'Message routing'],
  [['POST'], `${HUB_BASE}/failover`, 'Failover'],
  [['PUT', 'PATCH', 'DELETE'], SERVICE_BASE, 'Changing the provisioning service over this API'],
  [['GET'], `${SERVICE_BASE}/skus`, 'Tiers'],
  [['GET'], `${SERVICE_BASE}/operationresults/:operation`, 'Asynchronous operations'],
]

export function unsupportedResourceRoutes(routes: Routes): void {
  for (const [method, url, operation] of UNSUPPORTED) {
    routes.route({
      method: [...method],
      url,
      config: FOR_EVERYBODY,
      schema: { hide: true },
      onRequest: async () => {
        throw new HubError('not-implemented', `${operation} is not offered by this server.`)
      },
      handler: async () => undefined,
    })
  }
}
