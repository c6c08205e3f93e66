import { Type } from 'typebox'
import type { Static } from 'typebox'
import { HubError } from '../../errors.ts'
import type { Door } from '../../hub/door/authenticate.ts'
import type { Devices } from '../../hub/registry/devices.ts'
import type { Sessions } from '../../hub/sessions/sessions.ts'
import type { Device } from '../../model/device.ts'
import { parseIfMatch } from '../../model/etag.ts'
import { parseDeviceId } from '../../model/ids.ts'
import type { Routes } from '../routes.ts'
import { statesOf } from '../stated-access.ts'
import type { Act } from '../stated-access.ts'
import { BulkBody, bulkResultJson, toBulkOperations } from './bulk-json.ts'
import { DeviceBody, deviceJson } from './device-json.ts'
import { hubOf, requireRight } from './service-access.ts'
import { twinJson } from './twin-json.ts'

const DeviceParams = Type.Object({ deviceId: Type.String() })
const ListQuery = Type.Object({ top: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })) })
/** 100 devices with both twin sections at their limits. */
const BULK_BYTES = 4 * 1024 * 1024
const tags = ['hub service API']

export interface RegistryParts {
  readonly door: Door
  readonly devices: Devices
  readonly sessions: Sessions
}

/** Device identities as `azure-iothub` `Registry` uses them. */
export function deviceReadRoutes(routes: Routes, { door, devices, sessions }: RegistryParts): void {
  const read = requireRight(door, 'RegistryRead')
  const show = showDevice(sessions)

  routes.get(
    '/devices/:deviceId',
    { ...read, schema: { tags, summary: 'Show a device', params: DeviceParams } },
    async (request, reply) => {
      const device = await devices.get(hubOf(request), parseDeviceId(request.params.deviceId))
      return reply.header('etag', `"${device.etag}"`).send(show(device))
    },
  )
  routes.get(
    '/devices',
    { ...read, schema: { tags, summary: 'List devices', querystring: ListQuery } },
    async (request) => (await devices.list(hubOf(request), request.query.top ?? 1000)).map(show),
  )
}

export function deviceWriteRoutes(routes: Routes, { door, devices, sessions }: RegistryParts): void {
  const show = showDevice(sessions)
  const before: Act['before'] = async ({ deviceId = '' }, request) =>
    show(await devices.get(hubOf(request), parseDeviceId(deviceId)))
  const allBefore: Act['before'] = async (_, request) => {
    const ids = (request.body as Static<typeof BulkBody>).map(({ id }) => id)
    return statesOf(ids, async (id) => show(await devices.get(hubOf(request), parseDeviceId(id))))
  }
  const write = (act: string, state = before) => requireRight(door, 'RegistryWrite', { name: act, before: state })

  routes.put(
    '/devices/:deviceId',
    {
      ...write('device.put'),
      schema: { tags, summary: 'Create or update a device', params: DeviceParams, body: DeviceBody },
    },
    async (request, reply) => {
      const deviceId = parseDeviceId(request.params.deviceId)
      if (request.body.deviceId !== undefined && request.body.deviceId !== deviceId)
        throw new HubError('argument-invalid', 'The deviceId of the body is not the one of the path.')
      const spec = { ...request.body, deviceId }
      const ifMatch = request.headers['if-match']
      const device =
        ifMatch === undefined
          ? await devices.create(hubOf(request), spec)
          : await devices.update(hubOf(request), spec, parseIfMatch(ifMatch))
      return reply.header('etag', `"${device.etag}"`).send(show(device))
    },
  )
  routes.delete(
    '/devices/:deviceId',
    { ...write('device.delete'), schema: { tags, summary: 'Delete a device', params: DeviceParams } },
    async (request, reply) => {
      const ifMatch = request.headers['if-match']
      if (ifMatch === undefined)
        throw new HubError('precondition-failed', 'Deleting needs the header If-Match: the etag, or * for any.')
      await devices.delete(hubOf(request), parseDeviceId(request.params.deviceId), parseIfMatch(ifMatch))
      return reply.code(204).send()
    },
  )
  routes.post(
    '/devices',
    {
      ...write('device.bulk', allBefore),
      bodyLimit: BULK_BYTES,
      schema: { tags, summary: 'Change up to 100 devices', body: BulkBody },
    },
    async (request, reply) => {
      const result = await devices.bulk(hubOf(request), toBulkOperations(request.body))
      return reply.code(result.isSuccessful ? 200 : 400).send(bulkResultJson(result))
    },
  )
}

function showDevice(sessions: Sessions) {
  return (device: Device) => deviceJson(device, sessions.find(device.hub, device.deviceId) !== null)
}

/** Reading of twins; changing them belongs to the twin operations. */
export function twinRoutes(routes: Routes, { door, devices, sessions }: RegistryParts): void {
  routes.get(
    '/twins/:deviceId',
    {
      ...requireRight(door, 'ServiceConnect'),
      schema: { tags, summary: "Show a device's twin", params: DeviceParams },
    },
    async (request) => {
      const device = await devices.get(hubOf(request), parseDeviceId(request.params.deviceId))
      return twinJson(device, sessions.find(device.hub, device.deviceId) !== null)
    },
  )
}

export function statisticsRoutes(routes: Routes, { door, devices, sessions }: RegistryParts): void {
  const read = requireRight(door, 'RegistryRead')
  routes.get('/statistics/devices', { ...read, schema: { tags, summary: 'Count devices' } }, async (request) => {
    const { total, enabled, disabled } = await devices.statistics(hubOf(request))
    return { totalDeviceCount: total, enabledDeviceCount: enabled, disabledDeviceCount: disabled }
  })
  routes.get(
    '/statistics/service',
    { ...read, schema: { tags, summary: 'Count connected devices' } },
    async (request) => ({ connectedDeviceCount: sessions.count(hubOf(request)) }),
  )
}
