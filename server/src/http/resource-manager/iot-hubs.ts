import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import type { Hubs, HubDefinition } from '../../hub/hubs.ts'
import { parseHubName, printable } from '../../model/ids.ts'
import type { PolicyStore } from '../../ports/registry.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from '../management/access.ts'
import { policyKeysJson } from './keys-json.ts'
import { GROUP, GroupParams, ResourceParams, resourceId, SUBSCRIPTION, SubscriptionParams } from './resource-paths.ts'

export const HUB_BASE = `${GROUP}/IotHubs/:resource`
const tags = ['resource manager API']
const NameBody = Type.Object({ name: Type.String({ maxLength: 256 }) })
const HOURS_PER_DAY = 24

export interface IotHubParts {
  readonly hubs: Hubs
  readonly policies: PolicyStore
  readonly access: ManagementAccess
  readonly retentionHours: number
  /** Port of the Event Hubs-compatible endpoint, known once it listens. */
  readonly amqpsPort: () => number
}

/** The hubs of this server as resources. They are configured, not created: only reading and keys are offered. */
export function iotHubRoutes(routes: Routes, parts: IotHubParts): void {
  const { hubs, policies, access } = parts
  type Path = { subscription: string; group: string; resource: string }
  const show = (hub: HubDefinition, path: Path) => hubJson(hub, { ...path, resource: hub.name }, parts)

  routes.get(
    HUB_BASE,
    { ...access.may('server.read'), schema: { tags, summary: 'Show a hub', params: ResourceParams } },
    async ({ params }) => show(hubNamed(hubs, params.resource), params),
  )
  routes.get(
    `${GROUP}/IotHubs`,
    { ...access.may('server.read'), schema: { tags, summary: 'List hubs', params: GroupParams } },
    async ({ params }) => ({ value: hubs.all().map((hub) => show(hub, { ...params, resource: hub.name })) }),
  )
  routes.get(
    `${SUBSCRIPTION}/IotHubs`,
    { ...access.may('server.read'), schema: { tags, summary: 'List hubs', params: SubscriptionParams } },
    async ({ params }) => ({
      value: hubs.all().map((hub) => show(hub, { ...params, group: 'holdfast', resource: hub.name })),
    }),
  )
  routes.post(
    `${HUB_BASE}/listkeys`,
    {
      ...access.may('policies.secrets', { name: 'policy.show-keys' }),
      schema: { tags, summary: 'List access policies with keys', params: ResourceParams },
    },
    async ({ params }) => {
      const { name } = hubNamed(hubs, params.resource)
      return { value: (await policies.list({ kind: 'hub', hub: name })).map(policyKeysJson) }
    },
  )
  routes.post(
    `${HUB_BASE}/IotHubKeys/:key/listkeys`,
    {
      ...access.may('policies.secrets', { name: 'policy.show-keys' }),
      schema: {
        tags,
        summary: 'Show an access policy with keys',
        params: Type.Object({ ...ResourceParams.properties, key: Type.String() }),
      },
    },
    async ({ params }) => {
      const { name } = hubNamed(hubs, params.resource)
      const policy = await policies.get({ kind: 'hub', hub: name }, params.key)
      if (policy === null)
        throw new HubError('argument-invalid', `There is no access policy '${printable(params.key)}'.`)
      return policyKeysJson(policy)
    },
  )
  routes.post(
    `${SUBSCRIPTION}/checkNameAvailability`,
    {
      ...access.may('server.read'),
      schema: { tags, summary: 'Check a hub name', params: SubscriptionParams, body: NameBody },
    },
    async ({ body }) => nameAvailability(hubs, body.name),
  )
}

/** The hub of a resource path, by its name in any case. Throws `hub-not-found`. */
export function hubNamed(hubs: Hubs, name: string): HubDefinition {
  const hub = hubs.get(parseHubName(name))
  if (hub === null) throw new HubError('hub-not-found', `This server holds no hub '${printable(name)}'.`)
  return hub
}

function hubJson(
  hub: HubDefinition,
  path: { subscription: string; group: string; resource: string },
  { retentionHours, amqpsPort }: IotHubParts,
) {
  const [hostName = 'localhost'] = hub.hosts
  const port = amqpsPort()
  return {
    id: resourceId(path, 'IotHubs'),
    name: hub.name as string,
    type: 'Microsoft.Devices/IotHubs',
    location: 'local',
    tags: {},
    properties: {
      state: 'Active',
      provisioningState: 'Succeeded',
      hostName,
      eventHubEndpoints: {
        events: {
          retentionTimeInDays: Math.ceil(retentionHours / HOURS_PER_DAY),
          partitionCount: hub.partitions,
          partitionIds: Array.from({ length: hub.partitions }, (_, index) => String(index)),
          path: hub.name as string,
          endpoint: `sb://${hostName}${port === 5671 ? '' : `:${port}`}/`,
        },
      },
      features: 'None',
    },
    sku: { name: 'S1', tier: 'Standard', capacity: 1 },
  }
}

function nameAvailability(hubs: Hubs, name: string) {
  try {
    if (hubs.get(parseHubName(name)) === null) return { nameAvailable: true }
    return { nameAvailable: false, reason: 'AlreadyExists', message: 'This server holds a hub of this name.' }
  } catch (error) {
    if (error instanceof HubError) return { nameAvailable: false, reason: 'Invalid', message: error.message }
    throw error
  }
}
