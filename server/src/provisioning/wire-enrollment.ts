import { parseCertificate } from '@holdfast/pki'
import type {
  CertificateSlots,
  Enrollment,
  EnrollmentGroup,
  GroupAttestation,
  IndividualAttestation,
  IndividualEnrollment,
} from '../model/enrollment.ts'
import type { JsonObject } from '../model/twin.ts'
import type { BulkResult } from './enrollments.ts'
import { certificateInfoJson } from './wire-certificate.ts'
import { provisioningError } from './wire-registration.ts'
import { dateTimeUtc } from './wire-time.ts'

/** The member of a bulk answer that names one failure's enrollment. */
type BulkIdMember = 'registrationId' | 'enrollmentGroupId'

/** An enrollment as the service shows it: without the secrets of its attestation. */
export function individualEnrollmentJson(enrollment: IndividualEnrollment): JsonObject {
  return {
    registrationId: enrollment.registrationId,
    ...(enrollment.deviceId !== null && { deviceId: enrollment.deviceId }),
    ...(enrollment.optionalDeviceInformation !== null && {
      optionalDeviceInformation: enrollment.optionalDeviceInformation,
    }),
    ...commonJson(enrollment),
  }
}

export function enrollmentGroupJson(group: EnrollmentGroup): JsonObject {
  return { enrollmentGroupId: group.enrollmentGroupId, ...commonJson(group) }
}

/** With symmetric keys: only for those who may read secrets. */
export function attestationMechanismJson(attestation: IndividualAttestation | GroupAttestation): JsonObject {
  if (attestation.type === 'x509') return x509Json(attestation)
  const { primaryKey, secondaryKey } = attestation
  return { type: 'symmetricKey', symmetricKey: { primaryKey, secondaryKey } }
}

export function bulkResultJson({ failures }: BulkResult, idMember: BulkIdMember): JsonObject {
  const errors = failures.map(({ id, error }) => ({
    [idMember]: id,
    errorCode: provisioningError(error.code).errorCode,
    errorStatus: error.message,
  }))
  return { isSuccessful: errors.length === 0, errors }
}

function commonJson(enrollment: Enrollment): JsonObject {
  const { allocationPolicy, initialTwin } = enrollment
  return {
    attestation: enrollment.attestation.type === 'x509' ? x509Json(enrollment.attestation) : KEYS_NOT_SHOWN,
    capabilities: { iotEdge: enrollment.capabilities.iotEdge },
    ...(initialTwin !== null && {
      initialTwin: { tags: initialTwin.tags, properties: { desired: initialTwin.desired } },
    }),
    // Clients send it back as it stands here, quotes and all.
    etag: `"${enrollment.etag}"`,
    provisioningStatus: enrollment.status,
    reprovisionPolicy: { ...enrollment.reprovisionPolicy },
    createdDateTimeUtc: dateTimeUtc(enrollment.created),
    lastUpdatedDateTimeUtc: dateTimeUtc(enrollment.updated),
    allocationPolicy: allocationPolicy.kind,
    ...(enrollment.iotHubs.length > 0 && { iotHubs: enrollment.iotHubs }),
    ...(allocationPolicy.kind === 'custom' && {
      customAllocationDefinition: {
        webhookUrl: allocationPolicy.webhookUrl,
        apiVersion: allocationPolicy.apiVersion,
      },
    }),
  }
}

const KEYS_NOT_SHOWN = { type: 'symmetricKey', symmetricKey: { primaryKey: '', secondaryKey: '' } } as const

function x509Json(attestation: (IndividualAttestation | GroupAttestation) & { type: 'x509' }): JsonObject {
  if ('caReferences' in attestation) {
    const { primary, secondary } = attestation.caReferences
    return { type: 'x509', x509: { caReferences: { primary, ...(secondary !== null && { secondary }) } } }
  }
  if ('clientCertificates' in attestation)
    return { type: 'x509', x509: { clientCertificates: slotsJson(attestation.clientCertificates) } }
  return { type: 'x509', x509: { signingCertificates: slotsJson(attestation.signingCertificates) } }
}

function slotsJson({ primary, secondary }: CertificateSlots): JsonObject {
  return { primary: slotJson(primary), ...(secondary !== null && { secondary: slotJson(secondary) }) }
}

function slotJson(der: Uint8Array): JsonObject {
  return { info: certificateInfoJson(parseCertificate(der)) }
}
