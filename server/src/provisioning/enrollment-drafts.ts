import { HubError } from '../errors.ts'
import type {
  AllocationPolicy,
  CertificateSlots,
  Enrollment,
  EnrollmentGroup,
  GroupAttestation,
  IndividualAttestation,
  IndividualEnrollment,
  ReprovisionPolicy,
} from '../model/enrollment.ts'
import {
  parseAuthorityName,
  parseDeviceId,
  parseEnrollmentGroupId,
  parseRegistrationId,
  printable,
} from '../model/ids.ts'
import type { SealedMode } from '../model/message-counter.ts'
import type { JsonObject } from '../model/twin.ts'
import { certificateFromText } from './certificate-text.ts'
import { isSymmetricKey } from './derived-keys.ts'
import { parseInitialTwin } from './initial-twin.ts'
import type { InitialTwinDraft } from './initial-twin.ts'

/** Marks every member as one that a client may leave out or send as null; both mean the same. */
type Draft<Shape> = { readonly [Member in keyof Shape]?: Shape[Member] | null | undefined }

type CertificateDraft = Draft<{
  /** PEM, base64 of PEM or base64 of DER. */
  certificate: string
  /** What answers show of a stored certificate; a slot that has only this keeps what is stored. */
  info: unknown
}>
type CertificateSlotsDraft = Draft<{ primary: CertificateDraft; secondary: CertificateDraft }>

type AttestationDraft = Draft<{
  type: string
  x509: Draft<{
    clientCertificates: CertificateSlotsDraft
    signingCertificates: CertificateSlotsDraft
    caReferences: Draft<{ primary: string; secondary: string }>
  }>
  symmetricKey: Draft<{ primaryKey: string; secondaryKey: string }>
  tpm: unknown
}>

type CommonDraft = Draft<{
  attestation: AttestationDraft
  capabilities: Draft<{ iotEdge: boolean }>
  initialTwin: InitialTwinDraft
  etag: string
  provisioningStatus: string
  reprovisionPolicy: Draft<{ updateHubAssignment: boolean; migrateDeviceData: boolean }>
  allocationPolicy: string
  iotHubHostName: string
  iotHubs: readonly string[]
  customAllocationDefinition: Draft<{ webhookUrl: string; apiVersion: string }>
  /** Of the management API alone: other clients do not know it and so do not change it. */
  sealed: SealedMode
}>

/** An enrollment as clients write it, its JSON types already checked. */
export type IndividualEnrollmentDraft = CommonDraft &
  Draft<{ deviceId: string; optionalDeviceInformation: JsonObject }> & { readonly registrationId: string }
export type EnrollmentGroupDraft = CommonDraft & { readonly enrollmentGroupId: string }

type Stamped = 'etag' | 'created' | 'updated'
/** An enrollment that is complete but for what storing it adds. */
export type NewIndividualEnrollment = Omit<IndividualEnrollment, Stamped>
export type NewEnrollmentGroup = Omit<EnrollmentGroup, Stamped>

const MAX_HUBS = 50
const MAX_URL_LENGTH = 2048

/**
 * Completes and checks a draft. `stored` is the enrollment that it replaces: keys and certificates that the draft
 * leaves out are kept from it. Rejects with `argument-invalid`, naming the member at fault.
 */
export function individualFromDraft(
  draft: IndividualEnrollmentDraft,
  stored: IndividualEnrollment | null,
  newKey: () => string,
): NewIndividualEnrollment {
  return {
    kind: 'individual',
    registrationId: parseRegistrationId(draft.registrationId),
    deviceId: present(draft.deviceId) ? parseDeviceId(draft.deviceId) : null,
    attestation: individualAttestation(draft.attestation, stored?.attestation ?? null, newKey),
    optionalDeviceInformation: draft.optionalDeviceInformation ?? null,
    ...common(draft, stored),
  }
}

export function groupFromDraft(
  draft: EnrollmentGroupDraft,
  stored: EnrollmentGroup | null,
  newKey: () => string,
): NewEnrollmentGroup {
  return {
    kind: 'group',
    enrollmentGroupId: parseEnrollmentGroupId(draft.enrollmentGroupId),
    attestation: groupAttestation(draft.attestation, stored?.attestation ?? null, newKey),
    ...common(draft, stored),
  }
}

function common(draft: CommonDraft, stored: Enrollment | null) {
  const sealed = draft.sealed ?? stored?.sealed
  return {
    status: provisioningStatus(draft.provisioningStatus),
    capabilities: { iotEdge: draft.capabilities?.iotEdge ?? false },
    initialTwin: parseInitialTwin(draft.initialTwin),
    reprovisionPolicy: reprovisionPolicy(draft.reprovisionPolicy),
    allocationPolicy: allocationPolicy(draft),
    iotHubs: iotHubs(draft),
    ...(sealed && { sealed }),
  }
}

function provisioningStatus(text: string | null | undefined): 'enabled' | 'disabled' {
  if (!present(text) || text === 'enabled') return 'enabled'
  if (text === 'disabled') return 'disabled'
  throw invalid(`provisioningStatus is '${printable(text)}': use enabled or disabled`)
}

function reprovisionPolicy(draft: CommonDraft['reprovisionPolicy']): ReprovisionPolicy {
  return {
    updateHubAssignment: draft?.updateHubAssignment ?? true,
    migrateDeviceData: draft?.migrateDeviceData ?? true,
  }
}

function allocationPolicy(draft: CommonDraft): AllocationPolicy {
  const kind = draft.allocationPolicy ?? (present(draft.iotHubHostName) ? 'static' : 'hashed')
  switch (kind) {
    case 'hashed':
    case 'geoLatency':
    case 'static':
      return { kind }
    case 'custom':
      return customAllocation(draft.customAllocationDefinition)
    default:
      throw invalid(`allocationPolicy is '${printable(kind)}': use hashed, geoLatency, static or custom`)
  }
}

/** The address is stored without being tried: whether it may be called is judged when a device registers. */
function customAllocation(draft: CommonDraft['customAllocationDefinition']): AllocationPolicy {
  const webhookUrl = draft?.webhookUrl
  if (!present(webhookUrl)) throw invalid('allocationPolicy custom needs customAllocationDefinition.webhookUrl')
  if (webhookUrl.length > MAX_URL_LENGTH || !/^https?:$/.test(URL.parse(webhookUrl)?.protocol ?? ''))
    throw invalid('customAllocationDefinition.webhookUrl is not an http or https URL of at most 2048 characters')
  return { kind: 'custom', webhookUrl, apiVersion: draft?.apiVersion ?? '2021-10-01' }
}

function iotHubs(draft: CommonDraft): readonly string[] {
  const hosts = draft.iotHubs ?? (present(draft.iotHubHostName) ? [draft.iotHubHostName] : [])
  if (hosts.length > MAX_HUBS) throw invalid(`iotHubs names ${hosts.length} hubs: the limit is ${MAX_HUBS}`)
  const wrong = hosts.find((host) => !/^[A-Za-z0-9.:[\]-]{1,255}$/.test(host))
  if (wrong !== undefined) throw invalid(`'${printable(wrong)}' in iotHubs is not a host name`)
  return hosts
}

function individualAttestation(
  draft: AttestationDraft | null | undefined,
  stored: IndividualAttestation | null,
  newKey: () => string,
): IndividualAttestation {
  if (attestationKind(draft) === 'symmetricKey') return symmetricKeys(draft, stored, newKey)
  const { clientCertificates, signingCertificates, caReferences } = draft?.x509 ?? {}
  if (present(signingCertificates) || present(caReferences))
    throw invalid('An individual enrollment takes attestation.x509.clientCertificates: CAs belong to enrollment groups')
  const kept = stored?.type === 'x509' ? stored.clientCertificates : null
  return {
    type: 'x509',
    clientCertificates: certificateSlots('attestation.x509.clientCertificates', clientCertificates, kept),
  }
}

function groupAttestation(
  draft: AttestationDraft | null | undefined,
  stored: GroupAttestation | null,
  newKey: () => string,
): GroupAttestation {
  if (attestationKind(draft) === 'symmetricKey') return symmetricKeys(draft, stored, newKey)
  const { clientCertificates, signingCertificates, caReferences } = draft?.x509 ?? {}
  if (present(clientCertificates))
    throw invalid(
      'An enrollment group takes attestation.x509.signingCertificates or caReferences, not clientCertificates',
    )
  if (present(signingCertificates) && present(caReferences))
    throw invalid('attestation.x509 has both signingCertificates and caReferences: give one of them')
  if (present(caReferences)) {
    if (!present(caReferences.primary)) throw invalid('attestation.x509.caReferences.primary is missing')
    const secondary = present(caReferences.secondary) ? parseAuthorityName(caReferences.secondary) : null
    return { type: 'x509', caReferences: { primary: parseAuthorityName(caReferences.primary), secondary } }
  }
  const kept = stored?.type === 'x509' && 'signingCertificates' in stored ? stored.signingCertificates : null
  const slots = certificateSlots('attestation.x509.signingCertificates', signingCertificates, kept)
  return { type: 'x509', signingCertificates: slots }
}

function attestationKind(draft: AttestationDraft | null | undefined): 'x509' | 'symmetricKey' {
  if (!present(draft)) throw invalid('attestation is missing')
  switch (draft.type) {
    case 'x509':
    case 'symmetricKey':
      return draft.type
    case 'tpm':
      throw new HubError('not-implemented', 'TPM attestation is not supported: use x509 or symmetricKey')
    default:
      throw invalid(`attestation.type is '${printable(String(draft.type))}': use x509 or symmetricKey`)
  }
}

/** Answers show keys blank, so an empty key in an update is one that was not changed. */
function symmetricKeys(
  draft: AttestationDraft | null | undefined,
  stored: IndividualAttestation | GroupAttestation | null,
  newKey: () => string,
) {
  const kept = stored?.type === 'symmetricKey' ? stored : null
  const key = (name: 'primaryKey' | 'secondaryKey'): string => {
    const given = draft?.symmetricKey?.[name]
    if (!present(given)) return kept?.[name] ?? newKey()
    if (!isSymmetricKey(given))
      throw invalid(`attestation.symmetricKey.${name} is not base64 of 16 to 64 bytes: leave it out to have one made`)
    return given
  }
  return { type: 'symmetricKey', primaryKey: key('primaryKey'), secondaryKey: key('secondaryKey') } as const
}

function certificateSlots(
  member: string,
  draft: CertificateSlotsDraft | null | undefined,
  stored: CertificateSlots | null,
): CertificateSlots {
  const primary = certificateSlot(`${member}.primary`, draft?.primary, stored?.primary ?? null)
  if (primary === null) throw invalid(`${member}.primary.certificate is missing`)
  return { primary, secondary: certificateSlot(`${member}.secondary`, draft?.secondary, stored?.secondary ?? null) }
}

function certificateSlot(
  member: string,
  draft: CertificateDraft | null | undefined,
  stored: Uint8Array | null,
): Uint8Array | null {
  if (present(draft?.certificate)) return certificateFromText(`${member}.certificate`, draft.certificate)
  if (!present(draft?.info)) return null
  if (stored === null) throw invalid(`${member} has only info, and no certificate is stored that it could stand for`)
  return stored
}

/** Clients send an absent member as nothing, null or an empty string. */
function present<Value>(value: Value | null | undefined): value is Value {
  return value !== null && value !== undefined && value !== ''
}

function invalid(message: string): HubError {
  return new HubError('argument-invalid', message)
}
