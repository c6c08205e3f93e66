import { Type } from 'typebox'
import type { Static } from 'typebox'
import type { Device, DeviceAuthentication } from '../../model/device.ts'
import { wireTime } from './wire-time.ts'

const NullableText = Type.Union([Type.String({ maxLength: 1024 }), Type.Null()])

/** Authentication as SDKs send it: members may be empty, null or absent, and unknown ones are ignored. */
export const AuthenticationBody = Type.Object({
  type: Type.Optional(Type.Union([Type.String({ maxLength: 32 }), Type.Null()])),
  symmetricKey: Type.Optional(
    Type.Union([
      Type.Object({ primaryKey: Type.Optional(NullableText), secondaryKey: Type.Optional(NullableText) }),
      Type.Null(),
    ]),
  ),
  x509Thumbprint: Type.Optional(
    Type.Union([
      Type.Object({
        primaryThumbprint: Type.Optional(NullableText),
        secondaryThumbprint: Type.Optional(NullableText),
      }),
      Type.Null(),
    ]),
  ),
})

export const CapabilitiesBody = Type.Object({ iotEdge: Type.Optional(Type.Boolean()) })

export const DeviceBody = Type.Object({
  deviceId: Type.Optional(Type.String({ maxLength: 512 })),
  status: Type.Optional(Type.Union([Type.String({ maxLength: 32 }), Type.Null()])),
  statusReason: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  authentication: Type.Optional(Type.Union([AuthenticationBody, Type.Null()])),
  capabilities: Type.Optional(Type.Union([CapabilitiesBody, Type.Null()])),
})
export type DeviceBody = Static<typeof DeviceBody>

/** A device identity as the registry API shows it, keys included: who may read it holds RegistryRead. */
export function deviceJson(device: Device, connected: boolean) {
  return {
    deviceId: device.deviceId as string,
    generationId: device.generationId,
    etag: device.etag,
    connectionState: connected ? 'Connected' : 'Disconnected',
    status: device.status,
    statusReason: device.statusReason,
    connectionStateUpdatedTime: wireTime(device.connectionStateUpdatedTime),
    statusUpdatedTime: wireTime(device.statusUpdatedTime),
    lastActivityTime: wireTime(device.lastActivityTime),
    cloudToDeviceMessageCount: 0,
    authentication: authenticationJson(device.authentication),
    capabilities: { iotEdge: device.capabilities.iotEdge },
  }
}

function authenticationJson(authentication: DeviceAuthentication) {
  const keys = authentication.type === 'sas' ? authentication : { primaryKey: null, secondaryKey: null }
  return {
    symmetricKey: { primaryKey: keys.primaryKey, secondaryKey: keys.secondaryKey },
    x509Thumbprint: thumbprintsJson(authentication),
    type: authentication.type,
  }
}

export function thumbprintsJson(authentication: DeviceAuthentication): {
  primaryThumbprint: string | null
  secondaryThumbprint: string | null
} {
  if (authentication.type !== 'selfSigned') return { primaryThumbprint: null, secondaryThumbprint: null }
  return {
    primaryThumbprint: authentication.primaryThumbprint,
    secondaryThumbprint: authentication.secondaryThumbprint,
  }
}
