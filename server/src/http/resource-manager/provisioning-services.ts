import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import type { LinkedHub } from '../../model/enrollment.ts'
import { printable } from '../../model/ids.ts'
import type { PolicyStore } from '../../ports/registry.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from '../management/access.ts'
import { policyKeysJson } from './keys-json.ts'
import { GROUP, GroupParams, ResourceParams, resourceId, SUBSCRIPTION, SubscriptionParams } from './resource-paths.ts'

export const SERVICE_BASE = `${GROUP}/provisioningServices/:resource`
const tags = ['resource manager API']
const NameBody = Type.Object({ name: Type.String({ maxLength: 256 }) })

/** The one provisioning service of a server, as a resource is described. */
export interface ProvisioningServiceFacts {
  readonly idScope: string
  /** Told to devices and services; its first label is the resource's name. */
  readonly host: string
  readonly linkedHubs: readonly LinkedHub[]
}

export interface ProvisioningServiceParts {
  readonly service: ProvisioningServiceFacts
  readonly policies: PolicyStore
  readonly access: ManagementAccess
}

export function provisioningServiceRoutes(routes: Routes, parts: ProvisioningServiceParts): void {
  const { service, policies, access } = parts
  const name = serviceName(service)

  routes.get(
    SERVICE_BASE,
    {
      ...access.may('server.read'),
      schema: { tags, summary: 'Show the provisioning service', params: ResourceParams },
    },
    async ({ params }) => {
      requireServiceNamed(service, params.resource)
      return serviceJson(service, params)
    },
  )
  routes.get(
    `${GROUP}/provisioningServices`,
    { ...access.may('server.read'), schema: { tags, summary: 'List provisioning services', params: GroupParams } },
    async ({ params }) => ({ value: [serviceJson(service, { ...params, resource: name })] }),
  )
  routes.get(
    `${SUBSCRIPTION}/provisioningServices`,
    {
      ...access.may('server.read'),
      schema: { tags, summary: 'List provisioning services', params: SubscriptionParams },
    },
    async ({ params }) => ({ value: [serviceJson(service, { ...params, group: 'holdfast', resource: name })] }),
  )
  routes.post(
    `${SERVICE_BASE}/listkeys`,
    {
      ...access.may('policies.secrets', { name: 'policy.show-keys' }),
      schema: { tags, summary: 'List access policies with keys', params: ResourceParams },
    },
    async ({ params }) => {
      requireServiceNamed(service, params.resource)
      return { value: (await policies.list({ kind: 'provisioning' })).map(policyKeysJson) }
    },
  )
  routes.post(
    `${SERVICE_BASE}/keys/:key/listkeys`,
    {
      ...access.may('policies.secrets', { name: 'policy.show-keys' }),
      schema: {
        tags,
        summary: 'Show an access policy with keys',
        params: Type.Object({ ...ResourceParams.properties, key: Type.String() }),
      },
    },
    async ({ params }) => {
      requireServiceNamed(service, params.resource)
      const policy = await policies.get({ kind: 'provisioning' }, params.key)
      if (policy === null)
        throw new HubError('argument-invalid', `There is no access policy '${printable(params.key)}'.`)
      return policyKeysJson(policy)
    },
  )
  routes.post(
    `${SUBSCRIPTION}/checkProvisioningServiceNameAvailability`,
    {
      ...access.may('server.read'),
      schema: { tags, summary: 'Check a name', params: SubscriptionParams, body: NameBody },
    },
    async ({ body }) =>
      body.name.toLowerCase() === name
        ? { nameAvailable: false, reason: 'AlreadyExists', message: 'The provisioning service has this name.' }
        : { nameAvailable: true },
  )
}

/** Throws `hub-not-found` for any name but the service's own. */
export function requireServiceNamed(service: ProvisioningServiceFacts, name: string): void {
  if (name.toLowerCase() === serviceName(service)) return
  throw new HubError(
    'hub-not-found',
    `This server holds no provisioning service '${printable(name)}': its own is '${serviceName(service)}'.`,
  )
}

function serviceName({ host }: ProvisioningServiceFacts): string {
  return host.split('.')[0]?.toLowerCase() ?? host
}

function serviceJson(
  { idScope, host, linkedHubs }: ProvisioningServiceFacts,
  path: { subscription: string; group: string; resource: string },
) {
  return {
    id: resourceId(path, 'provisioningServices'),
    name: path.resource,
    type: 'Microsoft.Devices/provisioningServices',
    location: 'local',
    tags: {},
    properties: {
      state: 'Active',
      provisioningState: 'Succeeded',
      iotHubs: linkedHubs.map((hub) => ({
        applyAllocationPolicy: true,
        allocationWeight: hub.weight,
        name: hub.host,
        connectionString: `HostName=${hub.host};SharedAccessKeyName=iothubowner;SharedAccessKey=****`,
        location: 'local',
      })),
      allocationPolicy: 'Hashed',
      serviceOperationsHostName: host,
      deviceProvisioningHostName: host,
      idScope,
    },
    sku: { name: 'S1', tier: 'Standard', capacity: 1 },
  }
}
