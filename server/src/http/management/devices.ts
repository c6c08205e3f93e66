import { Type } from 'typebox'
import type { Devices } from '../../hub/registry/devices.ts'
import type { Hubs } from '../../hub/hubs.ts'
import type { Revocations } from '../../hub/revocation/revocations.ts'
import type { Sessions } from '../../hub/sessions/sessions.ts'
import type { Device } from '../../model/device.ts'
import { parseIfMatch } from '../../model/etag.ts'
import { parseDeviceId } from '../../model/ids.ts'
import type { Revocation } from '../../model/revocation.ts'
import { hubNamed } from '../resource-manager/iot-hubs.ts'
import type { Routes } from '../routes.ts'
import type { Act } from '../stated-access.ts'
import type { ManagementAccess } from './access.ts'
import { deviceJson, AuthenticationBody, CapabilitiesBody } from '../service/device-json.ts'

const tags = ['management: devices']
const HubParams = Type.Object({ hub: Type.String() })
const DeviceParams = Type.Object({ hub: Type.String(), deviceId: Type.String() })
const ListQuery = Type.Object({
  after: Type.Optional(Type.String({ description: 'Id of the last device of the page before.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
})
const Status = Type.Union([Type.Literal('enabled'), Type.Literal('disabled')])
const Sealed = Type.Union([Type.Literal('off'), Type.Literal('verify')])
const DeviceBody = Type.Object(
  {
    status: Type.Optional(Status),
    statusReason: Type.Optional(Type.Union([Type.String({ maxLength: 128 }), Type.Null()])),
    authentication: Type.Optional(AuthenticationBody),
    capabilities: Type.Optional(CapabilitiesBody),
    sealed: Type.Optional(Sealed),
  },
  { additionalProperties: false },
)
const StatusBody = Type.Object(
  {
    status: Type.Optional(Status),
    statusReason: Type.Optional(Type.String({ maxLength: 128 })),
    sealed: Type.Optional(Sealed),
  },
  { additionalProperties: false, minProperties: 1 },
)

const ALL = '/holdfast/v1/hubs/:hub/devices'
const ONE = `${ALL}/:deviceId`

export interface ManagedDeviceParts {
  readonly hubs: Hubs
  readonly devices: Devices
  readonly sessions: Sessions
  readonly revocations: Pick<Revocations, 'facts'>
  readonly access: ManagementAccess
}

/** Device identities for the operator. */
export function managedDeviceRoutes(routes: Routes, parts: ManagedDeviceParts): void {
  const { hubs, devices, access } = parts
  const show = showDevice(parts)

  routes.get(
    ALL,
    { ...access.may('devices.read'), schema: { tags, summary: 'List', params: HubParams, querystring: ListQuery } },
    async (request) => {
      const { params, query } = request
      const { after, limit = 100 } = query
      const page = await devices.list(
        hubNamed(hubs, params.hub).name,
        limit,
        after === undefined ? null : parseDeviceId(after),
      )
      const value = page.map((device) => hideKeys(show(device), access.allows(request, 'devices.secrets')))
      return { value, next: page.length === limit ? (page.at(-1)?.deviceId ?? null) : null }
    },
  )
  routes.get(
    ONE,
    { ...access.may('devices.read'), schema: { tags, summary: 'Show', params: DeviceParams } },
    async (request) => {
      const { hub, deviceId } = request.params
      const device = show(await devices.get(hubNamed(hubs, hub).name, parseDeviceId(deviceId)))
      return hideKeys(device, access.allows(request, 'devices.secrets'))
    },
  )
}

/** Changes of device identities. PUT creates; with If-Match it replaces. */
export function managedDeviceChangeRoutes(routes: Routes, parts: ManagedDeviceParts): void {
  const { hubs, devices, access } = parts
  const show = showDevice(parts)
  const before: Act['before'] = async ({ hub = '', deviceId = '' }) =>
    show(await devices.get(hubNamed(hubs, hub).name, parseDeviceId(deviceId)))

  routes.put(
    ONE,
    {
      ...access.may('devices.write', { name: 'device.put', before }),
      schema: { tags, summary: 'Create or replace', params: DeviceParams, body: DeviceBody },
    },
    async ({ params, body, headers }) => {
      const hub = hubNamed(hubs, params.hub).name
      const spec = { ...body, deviceId: parseDeviceId(params.deviceId) }
      const ifMatch = headers['if-match']
      return show(
        ifMatch === undefined
          ? await devices.create(hub, spec)
          : await devices.update(hub, spec, parseIfMatch(ifMatch)),
      )
    },
  )
  routes.patch(
    ONE,
    {
      ...access.may('devices.write', { name: 'device.change', before }),
      schema: { tags, summary: 'Enable, disable, demand sealed messages', params: DeviceParams, body: StatusBody },
    },
    async ({ params, body }) => {
      const hub = hubNamed(hubs, params.hub).name
      const current = await devices.get(hub, parseDeviceId(params.deviceId))
      const { deviceId, authentication, capabilities } = deviceJson(current, false)
      const { status = current.status, statusReason = body.status ? null : current.statusReason, sealed } = body
      const spec = { deviceId, authentication, capabilities, status, statusReason, ...(sealed && { sealed }) }
      return show(await devices.update(hub, spec, { kind: 'exactly', etag: current.etag }))
    },
  )
  routes.delete(
    ONE,
    {
      ...access.may('devices.write', { name: 'device.delete', before }),
      schema: { tags, summary: 'Delete', params: DeviceParams },
    },
    async ({ params, headers }, reply) => {
      const expected = parseIfMatch(headers['if-match'] ?? '*')
      await devices.delete(hubNamed(hubs, params.hub).name, parseDeviceId(params.deviceId), expected)
      return reply.code(204).send()
    },
  )
}

export function quarantineJson({ quarantine }: Device) {
  return quarantine === undefined
    ? null
    : { since: new Date(quarantine.since).toISOString(), alarm: quarantine.alarmId }
}

/** The status says what the registry was told; a revocation stands above it. */
function revokedJson(row: Revocation | undefined) {
  return row === undefined ? null : { reason: row.reason, since: new Date(row.revokedAt).toISOString(), by: row.by }
}

function showDevice({ sessions, revocations }: Pick<ManagedDeviceParts, 'sessions' | 'revocations'>) {
  return (device: Device) => ({
    ...deviceJson(device, sessions.find(device.hub, device.deviceId) !== null),
    provenance: device.provenance,
    sealed: device.sealed ?? 'off',
    duplicates: device.duplicates ?? null,
    quarantine: quarantineJson(device),
    revoked: revokedJson(revocations.facts(device.hub).rowOfDevice(device.deviceId, device.generationId)),
  })
}

/** Keys are for those who may use them. */
function hideKeys<Shown extends Pick<ReturnType<typeof deviceJson>, 'authentication'>>(
  device: Shown,
  maySee: boolean,
): Shown {
  const { authentication } = device
  if (maySee || !authentication.symmetricKey) return device
  return { ...device, authentication: { ...authentication, symmetricKey: { primaryKey: null, secondaryKey: null } } }
}
