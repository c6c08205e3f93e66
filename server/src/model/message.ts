import type { DeviceId, HubName } from './ids.ts'

/** System properties of a device-to-cloud message that the device itself set; all optional, all text. */
export interface MessageProperties {
  readonly messageId?: string
  readonly correlationId?: string
  readonly userId?: string
  readonly to?: string
  readonly contentType?: string
  readonly contentEncoding?: string
  /** Absolute expiry as given, ISO 8601. */
  readonly expiry?: string
  readonly creationTime?: string
  readonly messageSchema?: string
  readonly interfaceId?: string
  /** Component name: annotation dt-subject. */
  readonly subject?: string
  readonly outputName?: string
  readonly ack?: string
}

/** A message as a head decoded it, before the hub has judged it. */
export interface DeviceMessage {
  readonly properties: MessageProperties
  /** Application properties in the order given; a repeated key keeps its last value. */
  readonly application: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** Events that are no telemetry, by what they are about. */
export const EVENT_CATEGORIES = ['connection', 'lifecycle', 'security'] as const
export type EventCategory = (typeof EVENT_CATEGORIES)[number]

/** An event of a stream: what is stored and what readers get. */
export interface HubEvent {
  /** Name of the stream, which for telemetry is the hub's. */
  readonly hub: HubName
  /** Null only for an event that is about no device. */
  readonly deviceId: DeviceId | null
  readonly moduleId: string | null
  readonly generationId: string
  /** JSON text of annotation iothub-connection-auth-method. */
  readonly authMethod: string
  readonly source:
    | 'Telemetry'
    | 'deviceConnectionStateEvents'
    | 'deviceLifecycleEvents'
    | 'twinChangeEvents'
    | 'holdfastSecurityEvents'
  /** Model id announced at connect: annotation dt-dataschema. */
  readonly modelId: string | null
  readonly properties: MessageProperties
  readonly application: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** Where an event stands. Sequence numbers start at 0 per partition and have no gaps; times are ms. */
export interface Position {
  readonly partition: number
  readonly sequence: number
  readonly enqueuedTime: number
}

export interface StoredEvent {
  readonly position: Position
  readonly event: HubEvent
}
