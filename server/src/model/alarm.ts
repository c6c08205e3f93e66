import type { DeviceId, HubName } from './ids.ts'
import type { CertificateSummary } from './refusal.ts'

/** What an operator is to look at himself; each has its section in docs/guides/clones.md. */
export const ALARM_KINDS = [
  'identity-duplicated',
  'identity-flapping',
  'key-shared',
  'certificate-at-two-hubs',
  'serial-reused',
  'webhook-disabled',
  'webhook-events-lost',
] as const
export type AlarmKind = (typeof ALARM_KINDS)[number]

/** Somebody who proved to be a device, there and then. */
export interface Presence {
  /** ms. */
  readonly time: number
  readonly hub: HubName
  readonly deviceId: DeviceId
  readonly address: string
  readonly port: number
  readonly protocol: string
  /** Null for a token. */
  readonly certificate: CertificateSummary | null
}

export interface Alarm {
  /** 32 hex digits. */
  readonly id: string
  /** ms. */
  readonly time: number
  readonly hub: HubName
  readonly kind: AlarmKind
  /** Id of the device, or of the webhook. */
  readonly subject: string
  /** What was seen, for a person. */
  readonly message: string
  /** What to do about it. */
  readonly remedy: string
  /** At most sixteen, in order of time. */
  readonly evidence: readonly Presence[]
}
