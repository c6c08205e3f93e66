import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import type { Consumers } from '../../hub/telemetry/consumers.ts'
import type { Hubs } from '../../hub/hubs.ts'
import { printable } from '../../model/ids.ts'
import type { Routes } from '../routes.ts'
import type { Act } from '../stated-access.ts'
import type { ManagementAccess } from '../management/access.ts'
import { HUB_BASE, hubNamed } from './iot-hubs.ts'
import { ResourceParams, resourceId } from './resource-paths.ts'

const GroupsParams = Type.Object({ ...ResourceParams.properties, endpoint: Type.String() })
const ConsumerGroupParams = Type.Object({ ...GroupsParams.properties, consumerGroup: Type.String() })
const tags = ['resource manager API']

/** Consumer groups of a hub's event stream. */
export function consumerGroupRoutes(
  routes: Routes,
  parts: { hubs: Hubs; consumers: Consumers; access: ManagementAccess },
): void {
  const { hubs, consumers, access } = parts
  const all = `${HUB_BASE}/eventHubEndpoints/:endpoint/ConsumerGroups`
  const one = `${all}/:consumerGroup`
  const hubOf = ({ resource, endpoint }: { resource: string; endpoint: string }) => {
    if (endpoint.toLowerCase() !== 'events')
      throw new HubError('argument-invalid', `There is no endpoint '${printable(endpoint)}': a hub has 'events'.`)
    return hubNamed(hubs, resource).name
  }
  const knownGroup = async (path: { resource: string; endpoint: string; consumerGroup: string }): Promise<string> => {
    const known = await consumers.groups(hubOf(path))
    const name = known.find((group) => group.toLowerCase() === path.consumerGroup.toLowerCase())
    if (name !== undefined) return name
    throw new HubError('consumer-group-not-found', `There is no consumer group '${printable(path.consumerGroup)}'.`)
  }
  const before: Act['before'] = async ({ resource = '', endpoint = '', consumerGroup = '' }) => ({
    name: await knownGroup({ resource, endpoint, consumerGroup }),
  })

  routes.get(
    all,
    { ...access.may('server.read'), schema: { tags, summary: 'List consumer groups', params: GroupsParams } },
    async ({ params }) => {
      const names = await consumers.groups(hubOf(params))
      return { value: names.map((name) => consumerGroupJson(name, params)) }
    },
  )
  routes.get(
    one,
    { ...access.may('server.read'), schema: { tags, summary: 'Show a consumer group', params: ConsumerGroupParams } },
    async ({ params }) => consumerGroupJson(await knownGroup(params), params),
  )
  routes.put(
    one,
    {
      ...access.may('consumer-groups.write', { name: 'consumer-group.create', before }),
      schema: { tags, summary: 'Create a consumer group', params: ConsumerGroupParams },
    },
    async ({ params }) => {
      const hub = hubOf(params)
      // Putting what is there already is the same wish fulfilled (RFC 9110 §9.3.4).
      const known = await consumers.groups(hub)
      if (!known.some((group) => group.toLowerCase() === params.consumerGroup.toLowerCase()))
        await consumers.createGroup(hub, params.consumerGroup)
      return consumerGroupJson(params.consumerGroup, params)
    },
  )
  routes.delete(
    one,
    {
      ...access.may('consumer-groups.write', { name: 'consumer-group.delete', before }),
      schema: { tags, summary: 'Delete a consumer group', params: ConsumerGroupParams },
    },
    async ({ params }, reply) => {
      await consumers.deleteGroup(hubOf(params), params.consumerGroup)
      // The SDK takes 204 for an error here.
      return reply.code(200).send()
    },
  )
}

function consumerGroupJson(name: string, path: { subscription: string; group: string; resource: string }) {
  return {
    id: `${resourceId(path, 'IotHubs')}/eventHubEndpoints/events/ConsumerGroups/${name}`,
    name,
    type: 'Microsoft.Devices/IotHubs/EventHubEndpoints/ConsumerGroups',
    etag: null,
    properties: { name },
  }
}
