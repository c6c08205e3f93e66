import type { HubErrorCode } from '../../errors.ts'
import type { Failure, FailureShape } from '../failure.ts'

/** Status of each code in Holdfast's own API, whose bodies carry the code itself. */
const MANAGEMENT_STATUS = {
  'argument-invalid': 400,
  'format-invalid': 400,
  'protocol-version-invalid': 400,
  unauthorized: 401,
  forbidden: 403,
  'hub-not-found': 404,
  'device-not-found': 404,
  'device-disabled': 403,
  'device-already-exists': 409,
  'device-limit-exceeded': 403,
  'device-scope-invalid': 400,
  'module-not-found': 404,
  'certificate-not-found': 404,
  'certificate-refused': 422,
  'certificate-limit-exceeded': 403,
  'possession-unproven': 422,
  'enrollment-not-found': 404,
  'enrollment-already-exists': 409,
  'enrollment-disabled': 403,
  'registration-not-found': 404,
  'operation-not-found': 404,
  'allocation-failed': 422,
  'consumer-group-not-found': 404,
  'consumer-group-already-exists': 409,
  'partition-not-found': 404,
  'reader-limit-exceeded': 403,
  'reader-stolen': 409,
  'precondition-failed': 412,
  'message-too-large': 413,
  throttled: 429,
  'storage-full': 507,
  'connection-superseded': 409,
  'credential-expired': 401,
  'shutting-down': 503,
  'not-implemented': 501,
  internal: 500,
} as const satisfies Record<HubErrorCode, number>

export function managementFailure(failure: Failure): FailureShape {
  const status = failure.status ?? MANAGEMENT_STATUS[failure.code]
  return {
    status,
    headers: status === 401 ? { 'www-authenticate': 'Bearer' } : {},
    body: { error: { code: failure.code, message: failure.message, trackingId: failure.trackingId } },
  }
}
