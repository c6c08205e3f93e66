import type { Alarm } from '../../model/alarm.ts'
import type { Device } from '../../model/device.ts'
import type { HubName } from '../../model/ids.ts'
import type { EventCategory, HubEvent } from '../../model/message.ts'
import type { Refusal } from '../../model/refusal.ts'
import type { Revocation } from '../../model/revocation.ts'
import { describeTarget } from '../../model/revocation.ts'
import type { Session } from '../../model/session.ts'
import type { JsonObject } from '../../model/twin.ts'

/** An event that is no telemetry, before it has a stream. */
export interface Operation {
  readonly category: EventCategory
  /** Null for what is about the whole server: it goes to the home hub. */
  readonly hub: HubName | null
  readonly deviceId: HubEvent['deviceId']
  readonly moduleId: string | null
  readonly opType: string
  /** ms. */
  readonly time: number
  readonly correlationId: string
  readonly body: JsonObject
}

/** What the service calls the events of each category, and their schema; security events are Holdfast's own. */
const SOURCES = {
  connection: { source: 'deviceConnectionStateEvents', schema: 'deviceConnectionStateNotification' },
  lifecycle: { source: 'deviceLifecycleEvents', schema: 'deviceLifecycleNotification' },
  security: { source: 'holdfastSecurityEvents', schema: 'holdfastSecurityNotification' },
} as const satisfies Record<EventCategory, { source: HubEvent['source']; schema: string }>

/** The category of an event as it comes from a stream; null for telemetry. */
export function categoryOf({ source }: Pick<HubEvent, 'source'>): EventCategory | null {
  const found = Object.entries(SOURCES).find(([, names]) => names.source === source)
  return found === undefined ? null : (found[0] as EventCategory)
}

/** The shape that the service gives to its non-telemetry events. */
export function eventOf(operation: Operation, hub: HubName, stream: HubName): HubEvent {
  const { category, deviceId, moduleId, opType, time, correlationId, body } = operation
  const { source, schema } = SOURCES[category]
  return {
    hub: stream,
    deviceId,
    moduleId,
    generationId: '',
    authMethod: '',
    source,
    modelId: null,
    properties: {
      messageId: correlationId,
      correlationId,
      userId: hub,
      contentType: 'application/json',
      contentEncoding: 'utf-8',
    },
    application: {
      hubName: hub,
      ...(deviceId !== null && { deviceId }),
      ...(moduleId !== null && { moduleId }),
      operationTimestamp: new Date(time).toISOString(),
      'iothub-message-schema': schema,
      opType,
    },
    body: Buffer.from(JSON.stringify(body)),
  }
}

type Stamp = Pick<Operation, 'time' | 'correlationId'>

/** `sequenceNumber` (hex) grows, so that a reader can tell the later of two states of a device. */
export function connectionEvent(
  { hub, deviceId, moduleId }: Pick<Session, 'hub' | 'deviceId' | 'moduleId'>,
  change: 'connected' | 'disconnected',
  sequenceNumber: string,
  stamp: Stamp,
): Operation {
  const noun = moduleId === null ? 'device' : 'module'
  const opType = `${noun}${change === 'connected' ? 'Connected' : 'Disconnected'}`
  return { ...stamp, category: 'connection', hub, deviceId, moduleId, opType, body: { sequenceNumber } }
}

export function lifecycleEvent(
  { hub, deviceId }: Pick<Device, 'hub' | 'deviceId'>,
  opType: 'createDeviceIdentity' | 'deleteDeviceIdentity',
  twin: JsonObject,
  stamp: Stamp,
): Operation {
  return { ...stamp, category: 'lifecycle', hub, deviceId, moduleId: null, opType, body: twin }
}

type SecurityMatter = Pick<Operation, 'hub' | 'opType'> & Partial<Pick<Operation, 'deviceId'>> & { body: JsonObject }

function securityEvent({ hub, opType, deviceId = null, body }: SecurityMatter, stamp: Stamp): Operation {
  return { ...stamp, category: 'security', hub, deviceId, moduleId: null, opType, body }
}

/** The claimed identity is in the body: nobody proved to be it. */
export function refusalEvent(refusal: Refusal, stamp: Stamp): Operation {
  const { trackingId, area, protocol, peer, identity, rule, message, remedy, evidence } = refusal
  const certificates = refusal.chain.map((each) => ({ ...each }))
  const body = {
    trackingId,
    area,
    protocol,
    peer: { ...peer },
    identity,
    rule,
    message,
    remedy,
    certificates,
    evidence: { ...evidence },
  }
  return securityEvent({ hub: refusal.hub, opType: 'attemptRefused', body }, stamp)
}

export function revocationEvent(revocation: Revocation, stamp: Stamp): Operation {
  const { hub, id, target, reason, by, because, liftedAt } = revocation
  const opType = liftedAt === null ? 'trustRevoked' : 'revocationLifted'
  const body = { id, kind: target.kind, target: describeTarget(target), reason, by, because }
  const device = target.kind === 'device' ? { deviceId: target.deviceId } : {}
  return securityEvent({ hub, opType, ...device, body }, stamp)
}

export function alarmEvent({ id, hub, kind, subject, message, remedy, evidence }: Alarm, stamp: Stamp): Operation {
  const seen = evidence.map(({ certificate, ...rest }) => ({
    ...rest,
    certificate: certificate === null ? null : { ...certificate },
  }))
  const [device] = evidence
  const about = device === undefined ? {} : { deviceId: device.deviceId }
  const body = { id, kind, subject, message, remedy, evidence: seen }
  return securityEvent({ hub, opType: 'alarmRaised', ...about, body }, stamp)
}

export function releaseEvent({ hub, deviceId }: Pick<Device, 'hub' | 'deviceId'>, by: string, stamp: Stamp): Operation {
  return securityEvent({ hub, opType: 'deviceReleased', deviceId, body: { by } }, stamp)
}

/** Says that the stream has a gap here, and how large it is. */
export function droppedEvent(hub: HubName, dropped: number, stamp: Stamp): Operation {
  return securityEvent({ hub, opType: 'eventsDropped', body: { dropped } }, stamp)
}
