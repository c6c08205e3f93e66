import type { AuthorityName, DeviceId, EnrollmentGroupId, HubName, RegistrationId } from './ids.ts'
import type { SealedMode } from './message-counter.ts'
import type { JsonObject } from './twin.ts'

export interface CertificateSlots {
  /** DER. */
  readonly primary: Uint8Array
  readonly secondary: Uint8Array | null
}

export type IndividualAttestation =
  | { readonly type: 'x509'; readonly clientCertificates: CertificateSlots }
  | { readonly type: 'symmetricKey'; readonly primaryKey: string; readonly secondaryKey: string }

export type GroupAttestation =
  | { readonly type: 'x509'; readonly signingCertificates: CertificateSlots }
  | {
      readonly type: 'x509'
      readonly caReferences: { readonly primary: AuthorityName; readonly secondary: AuthorityName | null }
    }
  | { readonly type: 'symmetricKey'; readonly primaryKey: string; readonly secondaryKey: string }

export type AllocationPolicy =
  | { readonly kind: 'hashed' }
  | { readonly kind: 'geoLatency' }
  | { readonly kind: 'static' }
  | { readonly kind: 'custom'; readonly webhookUrl: string; readonly apiVersion: string }

/** updateHubAssignment false: never reassign; migrateDeviceData false: reset the twin to the initial one. */
export interface ReprovisionPolicy {
  readonly updateHubAssignment: boolean
  readonly migrateDeviceData: boolean
}

interface EnrollmentCommon {
  readonly etag: string
  readonly status: 'enabled' | 'disabled'
  readonly capabilities: { readonly iotEdge: boolean }
  readonly initialTwin: { readonly tags: JsonObject; readonly desired: JsonObject } | null
  readonly reprovisionPolicy: ReprovisionPolicy
  readonly allocationPolicy: AllocationPolicy
  /** Hubs it may be assigned to; empty means all linked hubs. Stored as given, judged at registration. */
  readonly iotHubs: readonly string[]
  /** What its devices are set to when they register; absent: whatever they are. */
  readonly sealed?: SealedMode
  readonly created: number
  readonly updated: number
}

export interface IndividualEnrollment extends EnrollmentCommon {
  readonly kind: 'individual'
  readonly registrationId: RegistrationId
  readonly deviceId: DeviceId | null
  readonly attestation: IndividualAttestation
  readonly optionalDeviceInformation: JsonObject | null
}

export interface EnrollmentGroup extends EnrollmentCommon {
  readonly kind: 'group'
  readonly enrollmentGroupId: EnrollmentGroupId
  readonly attestation: GroupAttestation
}

export type Enrollment = IndividualEnrollment | EnrollmentGroup

/** A hub that the provisioning service may assign devices to. */
export interface LinkedHub {
  readonly hub: HubName
  /** Host name as told to devices, e.g. `localhost` or `factory.example.com`. */
  readonly host: string
  /** 1 to 1000, for hashed allocation. */
  readonly weight: number
  /** Configured latency in ms for geo-latency allocation, or null when not configured. */
  readonly latency: number | null
}
