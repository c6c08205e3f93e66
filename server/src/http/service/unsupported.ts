import type { HTTPMethods } from 'fastify'
import { HubError } from '../../errors.ts'
import type { Routes } from '../routes.ts'
import { FOR_EVERYBODY } from '../stated-access.ts'

/** Operations of a hub's APIs that this server knows of and does not offer: they answer 501 by name, never 404. */
const UNSUPPORTED: readonly (readonly [HTTPMethods | readonly HTTPMethods[], string, string])[] = [
  ['PATCH', '/twins/:deviceId', 'Updating a twin'],
  ['PUT', '/twins/:deviceId', 'Replacing a twin'],
  ['POST', '/twins/:deviceId/methods', 'Invoking a direct method'],
  [['GET', 'PATCH', 'PUT'], '/twins/:deviceId/modules/:moduleId', 'Module twins'],
  ['POST', '/twins/:deviceId/modules/:moduleId/methods', 'Invoking a direct method of a module'],
  ['POST', '/devices/query', 'Querying twins'],
  ['GET', '/devices/:deviceId/modules', 'Module identities'],
  [['GET', 'PUT', 'DELETE'], '/devices/:deviceId/modules/:moduleId', 'Module identities'],
  ['DELETE', '/devices/:deviceId/commands', 'Purging cloud-to-device messages'],
  ['POST', '/devices/:deviceId/applyConfigurationContent', 'Applying a configuration to a device'],
  ['GET', '/configurations', 'Automatic device configurations'],
  [['GET', 'PUT', 'DELETE'], '/configurations/:id', 'Automatic device configurations'],
  ['POST', '/configurations/testQueries', 'Testing configuration queries'],
  ['POST', '/jobs/create', 'Import and export jobs'],
  ['GET', '/jobs', 'Import and export jobs'],
  [['GET', 'DELETE'], '/jobs/:id', 'Import and export jobs'],
  ['GET', '/jobs/v2/query', 'Scheduled jobs'],
  [['GET', 'PUT'], '/jobs/v2/:id', 'Scheduled jobs'],
  ['POST', '/jobs/v2/:id/cancel', 'Scheduled jobs'],
  [['GET', 'PATCH'], '/digitaltwins/:deviceId', 'Digital twins'],
  ['POST', '/digitaltwins/:deviceId/commands/:name', 'Digital twin commands'],
  ['POST', '/digitaltwins/:deviceId/components/:component/commands/:name', 'Digital twin commands'],
  ['GET', '/messages/serviceBound/feedback', 'Receiving feedback over HTTPS'],
  ['DELETE', '/messages/serviceBound/feedback/:lock', 'Settling feedback over HTTPS'],
  ['POST', '/messages/serviceBound/feedback/:lock/abandon', 'Settling feedback over HTTPS'],
  ['GET', '/devices/:deviceId/messages/deviceBound', 'Receiving cloud-to-device messages over HTTPS'],
  ['DELETE', '/devices/:deviceId/messages/deviceBound/:lock', 'Settling cloud-to-device messages over HTTPS'],
  ['POST', '/devices/:deviceId/messages/deviceBound/:lock/abandon', 'Settling cloud-to-device messages over HTTPS'],
  ['POST', '/devices/:deviceId/files', 'File upload'],
  ['POST', '/devices/:deviceId/files/notifications', 'File upload'],
]

export function unsupportedRoutes(routes: Routes): void {
  for (const [method, url, operation] of UNSUPPORTED) {
    routes.route({
      method: typeof method === 'string' ? method : [...method],
      url,
      config: FOR_EVERYBODY,
      schema: { hide: true },
      // Refused before the body is read: there is nothing that could be done with it.
      onRequest: async () => {
        throw new HubError('not-implemented', `${operation} is not offered by this server.`)
      },
      handler: async () => undefined,
    })
  }
}
