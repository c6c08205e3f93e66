import { parseCertificate } from '@holdfast/pki'
import type { HubError, HubErrorCode } from '../errors.ts'
import type { ExpectedEtag } from '../model/etag.ts'
import { bareEtag, parseIfMatch } from '../model/etag.ts'
import type { Registration, RegistrationStatus } from '../model/registration.ts'
import type { JsonObject, JsonValue } from '../model/twin.ts'
import { certificateInfoJson } from './wire-certificate.ts'
import { dateTimeUtc } from './wire-time.ts'

/** The answer to a registration or to a poll of one. */
export interface RegistrationResult {
  readonly operationId: string
  readonly status: RegistrationStatus
  /** Absent while a first assignment is under way. */
  readonly registration: Registration | null
  /** Seconds after which to poll; null when the result is final. */
  readonly retryAfter: number | null
}

interface ProvisioningErrorShape {
  readonly status: number
  /** The status times 1,000 and a detail: clients divide it to get the status back. */
  readonly errorCode: number
}

const ERRORS = {
  'argument-invalid': { status: 400, errorCode: 400004 },
  'format-invalid': { status: 400, errorCode: 400006 },
  'protocol-version-invalid': { status: 400, errorCode: 400001 },
  unauthorized: { status: 401, errorCode: 401002 },
  forbidden: { status: 403, errorCode: 403002 },
  'hub-not-found': { status: 404, errorCode: 404001 },
  'device-not-found': { status: 404, errorCode: 404001 },
  'device-disabled': { status: 401, errorCode: 401003 },
  'device-already-exists': { status: 409, errorCode: 409001 },
  'device-limit-exceeded': { status: 403, errorCode: 403002 },
  'device-scope-invalid': { status: 400, errorCode: 400028 },
  'module-not-found': { status: 404, errorCode: 404010 },
  'certificate-not-found': { status: 404, errorCode: 404008 },
  'certificate-refused': { status: 400, errorCode: 400004 },
  'certificate-limit-exceeded': { status: 403, errorCode: 403002 },
  'possession-unproven': { status: 400, errorCode: 400053 },
  'enrollment-not-found': { status: 404, errorCode: 404201 },
  'enrollment-already-exists': { status: 409, errorCode: 409201 },
  'enrollment-disabled': { status: 401, errorCode: 401003 },
  'registration-not-found': { status: 404, errorCode: 404204 },
  'operation-not-found': { status: 404, errorCode: 404205 },
  'allocation-failed': { status: 400, errorCode: 400209 },
  'consumer-group-not-found': { status: 404, errorCode: 404000 },
  'consumer-group-already-exists': { status: 409, errorCode: 409000 },
  'partition-not-found': { status: 404, errorCode: 404000 },
  'reader-limit-exceeded': { status: 429, errorCode: 429001 },
  'reader-stolen': { status: 409, errorCode: 409000 },
  'precondition-failed': { status: 412, errorCode: 412001 },
  'message-too-large': { status: 413, errorCode: 413001 },
  throttled: { status: 429, errorCode: 429001 },
  'storage-full': { status: 503, errorCode: 503001 },
  'connection-superseded': { status: 409, errorCode: 409002 },
  'credential-expired': { status: 401, errorCode: 401003 },
  'shutting-down': { status: 503, errorCode: 503000 },
  'not-implemented': { status: 501, errorCode: 501000 },
  internal: { status: 500, errorCode: 500001 },
} as const satisfies Record<HubErrorCode, ProvisioningErrorShape>

export function provisioningError(code: HubErrorCode): ProvisioningErrorShape {
  return ERRORS[code]
}

/** The body that devices and service clients get with the status of `provisioningError`. `now` in ms. */
export function provisioningErrorBody({ code, message, trackingId }: HubError, now: number): JsonObject {
  return {
    errorCode: ERRORS[code].errorCode,
    ...(trackingId !== undefined && { trackingId }),
    message,
    info: {},
    timestampUtc: dateTimeUtc(now),
  }
}

export function registrationResultJson({ operationId, status, registration }: RegistrationResult): JsonObject {
  return { operationId, status, ...(registration && { registrationState: deviceRegistrationJson(registration) }) }
}

/** What a device sees of its registration: the state and what proved it. */
export function deviceRegistrationJson(registration: Registration): JsonObject {
  return { ...attestationJson(registration), ...registrationStateJson(registration) }
}

/** What the service shows of a registration. */
export function registrationStateJson(registration: Registration): JsonObject {
  const { status, assignedHost, deviceId, substatus, error, payload } = registration
  const isAssigned = status === 'assigned'
  return {
    registrationId: registration.presentedId,
    createdDateTimeUtc: dateTimeUtc(registration.created),
    ...(isAssigned && assignedHost !== null && { assignedHub: assignedHost }),
    ...(isAssigned && deviceId !== null && { deviceId }),
    status,
    ...(isAssigned && substatus !== null && { substatus }),
    ...(error !== null && { errorCode: error.code, errorMessage: error.message }),
    lastUpdatedDateTimeUtc: dateTimeUtc(registration.updated),
    etag: Buffer.from(`"${registration.etag}"`).toString('base64'),
    generationId: registration.generationId,
    ...(payload !== null && { payload }),
  }
}

/** Reads an If-Match header that holds the etag of a registration as shown: base64 of a quoted tag; or the tag itself. */
export function parseRegistrationIfMatch(header: string): ExpectedEtag {
  const expected = parseIfMatch(header)
  if (expected.kind === 'any') return expected
  const decoded = Buffer.from(expected.etag, 'base64').toString('latin1')
  return /^"[\u0021-\u007e]+"$/.test(decoded) ? { kind: 'exactly', etag: bareEtag(decoded) } : expected
}

/** JSON text in ASCII alone: some clients decode it byte by byte. */
export function asciiJson(value: JsonValue): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

export function attestationJson({
  attestation,
  enrollment,
}: Pick<Registration, 'attestation' | 'enrollment'>): JsonObject {
  const group = enrollment.kind === 'group' && { enrollmentGroupId: enrollment.id }
  if (attestation.type === 'symmetricKey') return { symmetricKey: { ...group } }
  const { leaf, signer } = attestation
  const certificateInfo = certificateInfoJson(parseCertificate(leaf))
  const signed = signer !== null && { signingCertificateInfo: certificateInfoJson(parseCertificate(signer)) }
  return { x509: { ...group, certificateInfo, ...signed } }
}
