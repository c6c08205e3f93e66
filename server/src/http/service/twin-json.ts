import type { Device } from '../../model/device.ts'
import type { JsonObject, JsonValue, TwinSection } from '../../model/twin.ts'
import { thumbprintsJson } from './device-json.ts'
import { twinTime, wireTime } from './wire-time.ts'

/** A device twin as the service API shows it; `$metadata` is derived from the times that the store keeps per section. */
export function twinJson(device: Device, connected: boolean): JsonObject {
  const { twin } = device
  return {
    deviceId: device.deviceId,
    etag: twinEtag(twin.version),
    deviceEtag: device.etag,
    version: twin.version,
    status: device.status,
    ...(device.statusReason === null ? {} : { statusReason: device.statusReason }),
    statusUpdateTime: wireTime(device.statusUpdatedTime),
    connectionState: connected ? 'Connected' : 'Disconnected',
    lastActivityTime: wireTime(device.lastActivityTime),
    cloudToDeviceMessageCount: 0,
    authenticationType: device.authentication.type,
    x509Thumbprint: thumbprintsJson(device.authentication),
    modelId: '',
    capabilities: { iotEdge: device.capabilities.iotEdge },
    tags: twin.tags,
    properties: {
      desired: sectionJson(twin.desired, { withVersions: true }),
      reported: sectionJson(twin.reported, { withVersions: false }),
    },
  }
}

/** Base64 of the version as 8 bytes, big endian: `AAAAAAAAAAE=` is version 1. */
function twinEtag(version: number): string {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(version))
  return bytes.toString('base64')
}

function sectionJson(section: TwinSection, shape: { withVersions: boolean }): JsonObject {
  const stamp: JsonObject = {
    $lastUpdated: twinTime(section.lastUpdated),
    ...(shape.withVersions ? { $lastUpdatedVersion: section.version } : {}),
  }
  return { ...section.values, $metadata: metadata(section.values, stamp), $version: section.version }
}

/** One stamp at the root and at every member, however deep objects nest; arrays are leaves. */
function metadata(values: JsonObject, stamp: JsonObject): JsonObject {
  const members = Object.entries(values).map(([name, value]) => [
    name,
    isObject(value) ? metadata(value, stamp) : stamp,
  ])
  return { ...stamp, ...(Object.fromEntries(members) as JsonObject) }
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
