import type { DeviceId, HubName, RegistrationId } from './ids.ts'
import type { JsonValue } from './twin.ts'

export type RegistrationStatus = 'unassigned' | 'assigning' | 'assigned' | 'failed' | 'disabled'
export type RegistrationSubstatus =
  | 'initialAssignment'
  | 'deviceDataMigrated'
  | 'deviceDataReset'
  | 'reprovisionedToInitialAssignment'

/** What the provisioning service remembers of one registration id. */
export interface Registration {
  readonly registrationId: RegistrationId
  /** As the device spelled it, echoed in answers. */
  readonly presentedId: string
  readonly enrollment: { readonly kind: 'individual' | 'group'; readonly id: string }
  readonly status: RegistrationStatus
  readonly substatus: RegistrationSubstatus | null
  readonly assignedHub: HubName | null
  readonly assignedHost: string | null
  readonly deviceId: DeviceId | null
  readonly generationId: string
  readonly operationId: string
  readonly error: { readonly code: number; readonly message: string } | null
  /** Returned custom data of a webhook, shown to the device. */
  readonly payload: JsonValue | null
  /** What proved the device last time: for the `x509`/`symmetricKey` member of the answer. */
  readonly attestation:
    | { readonly type: 'x509'; readonly leaf: Uint8Array; readonly signer: Uint8Array | null }
    | { readonly type: 'symmetricKey' }
  readonly etag: string
  readonly created: number
  readonly updated: number
}
