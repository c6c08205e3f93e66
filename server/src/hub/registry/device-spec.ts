import { HubError } from '../../errors.ts'
import type { Device, DeviceAuthentication, DeviceStatus } from '../../model/device.ts'
import type { HubName } from '../../model/ids.ts'
import { parseDeviceId, printable } from '../../model/ids.ts'
import type { SealedMode } from '../../model/message-counter.ts'
import type { JsonObject } from '../../model/twin.ts'
import { freshTwin } from '../../model/twin.ts'
import type { Randomness } from '../../ports/clock.ts'
import { newKey } from './access-policies.ts'
import { firstEtag, nextEtag } from '../etags.ts'

/** Longest reason that the service takes. */
const MAX_STATUS_REASON = 128
const KEY_BYTES = { min: 16, max: 64 }
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const THUMBPRINT = /^(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})$/
/** .NET ticks (100 ns since year 1) at the Unix epoch, in ms. */
const TICKS_EPOCH_MS = 62_135_596_800_000n

/** What an operator wants a device to be: the registry API's document, its members unjudged, absent ones defaulted. */
export interface DeviceSpec {
  readonly deviceId: string
  readonly status?: string | null
  readonly statusReason?: string | null
  readonly authentication?: AuthenticationSpec | null
  readonly capabilities?: { readonly iotEdge?: boolean } | null
  /** Absent: as it is. */
  readonly sealed?: SealedMode
  /** Initial twin, when the device is created. */
  readonly tags?: JsonObject
  readonly desired?: JsonObject
}

export interface AuthenticationSpec {
  readonly type?: string | null
  readonly symmetricKey?: { readonly primaryKey?: string | null; readonly secondaryKey?: string | null } | null
  readonly x509Thumbprint?: {
    readonly primaryThumbprint?: string | null
    readonly secondaryThumbprint?: string | null
  } | null
}

/** A new identity. Throws `argument-invalid`. */
export function newDevice(hub: HubName, spec: DeviceSpec, now: number, random: Randomness): Device {
  return {
    hub,
    deviceId: parseDeviceId(spec.deviceId),
    generationId: newGenerationId(now, random),
    etag: firstEtag(random),
    ...wantedFields(spec, random),
    statusUpdatedTime: null,
    createdTime: now,
    lastActivityTime: null,
    connectionStateUpdatedTime: null,
    twin: freshTwin(now, { tags: spec.tags ?? {}, desired: spec.desired ?? {} }),
    provenance: null,
  }
}

/**
 * The identity after an update, which replaces all that an operator may set: what the spec leaves out goes back to its
 * default, keys included (the service makes new ones). Throws `argument-invalid`.
 */
export function changedDevice(current: Device, spec: DeviceSpec, now: number, random: Randomness): Device {
  const wanted = wantedFields(spec, random)
  const statusUpdatedTime = wanted.status === current.status ? current.statusUpdatedTime : now
  return { ...current, ...wanted, statusUpdatedTime, etag: nextEtag(current.etag) }
}

function wantedFields(
  spec: DeviceSpec,
  random: Randomness,
): Pick<Device, 'status' | 'statusReason' | 'authentication' | 'capabilities' | 'sealed'> {
  return {
    status: parseStatus(spec.status),
    statusReason: parseReason(spec.statusReason),
    authentication: parseAuthentication(spec.authentication ?? {}, random),
    capabilities: { iotEdge: spec.capabilities?.iotEdge ?? false },
    ...(spec.sealed !== undefined && { sealed: spec.sealed }),
  }
}

function parseStatus(status: string | null | undefined): DeviceStatus {
  const lower = (status ?? 'enabled').toLowerCase()
  if (lower === 'enabled' || lower === 'disabled') return lower
  throw invalid(`'${printable(lower)}' is no device status: use enabled or disabled.`)
}

function parseReason(reason: string | null | undefined): string | null {
  if (reason && reason.length > MAX_STATUS_REASON)
    throw invalid(`The status reason has more than ${MAX_STATUS_REASON} characters.`)
  return reason || null
}

/** The type may be left out: then a thumbprint means selfSigned, anything else sas. */
function parseAuthentication(spec: AuthenticationSpec, random: Randomness): DeviceAuthentication {
  const thumbprints = parseThumbprints(spec)
  const hasThumbprint = thumbprints.primaryThumbprint !== null || thumbprints.secondaryThumbprint !== null
  const type = spec.type || (hasThumbprint ? 'selfSigned' : 'sas')
  switch (type) {
    case 'sas':
      return { type, ...parseKeys(spec, random) }
    case 'selfSigned':
      return { type, ...thumbprints }
    case 'certificateAuthority':
      return { type }
    default:
      throw invalid(
        `'${printable(type)}' is no authentication type of a device: use certificateAuthority, selfSigned or sas.`,
      )
  }
}

function parseKeys(
  { symmetricKey }: AuthenticationSpec,
  random: Randomness,
): { primaryKey: string; secondaryKey: string } {
  const primaryKey = symmetricKey?.primaryKey || null
  const secondaryKey = symmetricKey?.secondaryKey || null
  if (primaryKey === null && secondaryKey === null) return { primaryKey: newKey(random), secondaryKey: newKey(random) }
  if (primaryKey === null || secondaryKey === null)
    throw invalid('Give both keys of the device, or none to have them made.')
  requireKey(primaryKey)
  requireKey(secondaryKey)
  return { primaryKey, secondaryKey }
}

function requireKey(key: string): void {
  const length = BASE64.test(key) ? Buffer.from(key, 'base64').length : 0
  if (length < KEY_BYTES.min || length > KEY_BYTES.max)
    throw invalid(`A device key is the base64 of ${KEY_BYTES.min} to ${KEY_BYTES.max} bytes.`)
}

function parseThumbprints({ x509Thumbprint }: AuthenticationSpec): {
  primaryThumbprint: string | null
  secondaryThumbprint: string | null
} {
  const primaryThumbprint = x509Thumbprint?.primaryThumbprint || null
  const secondaryThumbprint = x509Thumbprint?.secondaryThumbprint || null
  for (const thumbprint of [primaryThumbprint, secondaryThumbprint]) {
    if (thumbprint !== null && !THUMBPRINT.test(thumbprint))
      throw invalid('A thumbprint is 40 (SHA-1) or 64 (SHA-256) hexadecimal digits without separators.')
  }
  if (primaryThumbprint && secondaryThumbprint && primaryThumbprint.length !== secondaryThumbprint.length)
    throw invalid('Primary and secondary thumbprint are of one kind: both SHA-1 or both SHA-256.')
  return { primaryThumbprint, secondaryThumbprint }
}

/** 18-digit ticks as on the service; the digits below a millisecond are random, for two births within one. */
function newGenerationId(now: number, random: Randomness): string {
  const fraction = Buffer.from(random.bytes(2)).readUInt16BE() % 10_000
  return ((TICKS_EPOCH_MS + BigInt(now)) * 10_000n + BigInt(fraction)).toString()
}

function invalid(message: string): HubError {
  return new HubError('argument-invalid', message)
}
