import { Type } from 'typebox'
import type { Hubs } from '../../hub/hubs.ts'
import type { Devices } from '../../hub/registry/devices.ts'
import type { Operations } from '../../hub/operations/operations.ts'
import type { Quarantine } from '../../hub/sessions/quarantine.ts'
import type { Device } from '../../model/device.ts'
import { DUPLICATE_POLICIES } from '../../model/device.ts'
import { parseDeviceId } from '../../model/ids.ts'
import { hubNamed } from '../resource-manager/iot-hubs.ts'
import type { Routes } from '../routes.ts'
import type { Act } from '../stated-access.ts'
import type { ManagementAccess } from './access.ts'
import { quarantineJson } from './devices.ts'

const tags = ['management: devices']
const DeviceParams = Type.Object({ hub: Type.String(), deviceId: Type.String() })
const PolicyBody = Type.Object(
  {
    policy: Type.Union([...DUPLICATE_POLICIES.map((policy) => Type.Literal(policy)), Type.Null()], {
      description: 'What a second session of the device meets; null: as the hub has it.',
    }),
  },
  { additionalProperties: false },
)
const DEVICE = '/holdfast/v1/hubs/:hub/devices/:deviceId'

export interface DuplicateRoutesParts {
  readonly hubs: Hubs
  readonly devices: Pick<Devices, 'get'>
  readonly quarantine: Quarantine
  readonly operations: Pick<Operations, 'released'>
  readonly access: ManagementAccess
}

/** What happens to a device that connects twice at once. */
export function duplicateRoutes(routes: Routes, parts: DuplicateRoutesParts): void {
  const { hubs, devices, quarantine, operations, access } = parts
  const before: Act['before'] = async ({ hub = '', deviceId = '' }) =>
    stateJson(await devices.get(hubNamed(hubs, hub).name, parseDeviceId(deviceId)))
  routes.put(
    `${DEVICE}/duplicates`,
    {
      ...access.may('devices.write', { name: 'device.set-duplicates', before }),
      schema: { tags, summary: 'Set the policy of duplicates', params: DeviceParams, body: PolicyBody },
    },
    async ({ params, body }) =>
      stateJson(
        await quarantine.setPolicy(hubNamed(hubs, params.hub).name, parseDeviceId(params.deviceId), body.policy),
      ),
  )
  routes.post(
    `${DEVICE}/release`,
    {
      ...access.may('quarantine.release', { name: 'device.release', before }),
      schema: { tags, summary: 'Release from quarantine', params: DeviceParams },
    },
    async ({ params, ip }) => {
      const device = await quarantine.release(hubNamed(hubs, params.hub).name, parseDeviceId(params.deviceId))
      operations.released(device, `operator at ${ip}`)
      return stateJson(device)
    },
  )
}

function stateJson(device: Device) {
  return {
    deviceId: device.deviceId,
    duplicates: device.duplicates ?? null,
    quarantine: quarantineJson(device),
  }
}
