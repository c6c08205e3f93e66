import { STATUS_CODES } from 'node:http'
import type { HubErrorCode } from '../../errors.ts'
import type { Failure, FailureShape } from '../failure.ts'

/** Status and code of each failure in the words of the resource-manager API. */
const ARM_FAILURES = {
  'argument-invalid': { status: 400, code: 'BadRequest' },
  'format-invalid': { status: 400, code: 'InvalidRequestContent' },
  'protocol-version-invalid': { status: 400, code: 'InvalidApiVersionParameter' },
  unauthorized: { status: 401, code: 'AuthenticationFailed' },
  forbidden: { status: 403, code: 'AuthorizationFailed' },
  'hub-not-found': { status: 404, code: 'ResourceNotFound' },
  'device-not-found': { status: 404, code: 'ResourceNotFound' },
  'device-disabled': { status: 403, code: 'OperationNotAllowed' },
  'device-already-exists': { status: 409, code: 'Conflict' },
  'device-limit-exceeded': { status: 403, code: 'QuotaExceeded' },
  'device-scope-invalid': { status: 400, code: 'BadRequest' },
  'module-not-found': { status: 404, code: 'ResourceNotFound' },
  'certificate-not-found': { status: 404, code: 'CertificateNotFound' },
  'certificate-refused': { status: 400, code: 'CertificateRefused' },
  'certificate-limit-exceeded': { status: 403, code: 'QuotaExceeded' },
  'possession-unproven': { status: 400, code: 'ProofOfPossessionFailed' },
  'enrollment-not-found': { status: 404, code: 'ResourceNotFound' },
  'enrollment-already-exists': { status: 409, code: 'Conflict' },
  'enrollment-disabled': { status: 403, code: 'OperationNotAllowed' },
  'registration-not-found': { status: 404, code: 'ResourceNotFound' },
  'operation-not-found': { status: 404, code: 'ResourceNotFound' },
  'allocation-failed': { status: 400, code: 'BadRequest' },
  'consumer-group-not-found': { status: 404, code: 'ResourceNotFound' },
  'consumer-group-already-exists': { status: 409, code: 'Conflict' },
  'partition-not-found': { status: 404, code: 'ResourceNotFound' },
  'reader-limit-exceeded': { status: 403, code: 'QuotaExceeded' },
  'reader-stolen': { status: 409, code: 'Conflict' },
  'precondition-failed': { status: 412, code: 'PreconditionFailed' },
  'message-too-large': { status: 413, code: 'RequestContentTooLarge' },
  throttled: { status: 429, code: 'TooManyRequests' },
  'storage-full': { status: 503, code: 'ServiceUnavailable' },
  'connection-superseded': { status: 409, code: 'Conflict' },
  'credential-expired': { status: 401, code: 'ExpiredAuthenticationToken' },
  'shutting-down': { status: 503, code: 'ServiceUnavailable' },
  'not-implemented': { status: 501, code: 'NotImplemented' },
  internal: { status: 500, code: 'InternalServerError' },
} as const satisfies Record<HubErrorCode, { status: number; code: string }>

/** The error body of the resource provider, which the SDKs read into `code` and `message`. */
export function armFailure(failure: Failure): FailureShape {
  const { status: ownStatus, code } = ARM_FAILURES[failure.code]
  const status = failure.status ?? ownStatus
  return {
    status,
    headers: status === 401 ? { 'www-authenticate': 'Bearer' } : {},
    body: {
      code,
      httpStatusCode: (STATUS_CODES[status] ?? '').replaceAll(' ', ''),
      message: failure.message,
      details: `Tracking ID: ${failure.trackingId}`,
    },
  }
}
