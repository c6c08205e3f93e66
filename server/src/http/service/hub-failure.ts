import type { HubErrorCode } from '../../errors.ts'
import type { Failure, FailureShape } from '../failure.ts'

/** Status and name of each code in the hub's REST vocabulary; service SDKs choose their error class by the status. */
const HUB_FAILURES = {
  'argument-invalid': { status: 400, name: 'ArgumentInvalid' },
  'format-invalid': { status: 400, name: 'IotHubFormatError' },
  'protocol-version-invalid': { status: 400, name: 'InvalidProtocolVersion' },
  unauthorized: { status: 401, name: 'IotHubUnauthorizedAccess' },
  forbidden: { status: 403, name: 'Forbidden' },
  'hub-not-found': { status: 404, name: 'IotHubNotFound' },
  'device-not-found': { status: 404, name: 'DeviceNotFound' },
  'device-disabled': { status: 403, name: 'DeviceDisabled' },
  'device-already-exists': { status: 409, name: 'DeviceAlreadyExists' },
  'device-limit-exceeded': { status: 403, name: 'TooManyDevices' },
  'device-scope-invalid': { status: 400, name: 'InvalidDeviceScope' },
  'module-not-found': { status: 404, name: 'ModuleNotFound' },
  'certificate-not-found': { status: 404, name: 'CertificateNotFound' },
  'certificate-refused': { status: 400, name: 'ArgumentInvalid' },
  'certificate-limit-exceeded': { status: 403, name: 'CertificateLimitExceeded' },
  'possession-unproven': { status: 400, name: 'ArgumentInvalid' },
  'enrollment-not-found': { status: 404, name: 'EnrollmentNotFound' },
  'enrollment-already-exists': { status: 409, name: 'EnrollmentConflict' },
  'enrollment-disabled': { status: 403, name: 'EnrollmentDisabled' },
  'registration-not-found': { status: 404, name: 'RegistrationNotFound' },
  'operation-not-found': { status: 404, name: 'OperationNotFound' },
  'allocation-failed': { status: 400, name: 'AllocationFailed' },
  'consumer-group-not-found': { status: 404, name: 'ConsumerGroupNotFound' },
  'consumer-group-already-exists': { status: 409, name: 'ConsumerGroupConflict' },
  'partition-not-found': { status: 404, name: 'PartitionNotFound' },
  'reader-limit-exceeded': { status: 403, name: 'IotHubQuotaExceeded' },
  'reader-stolen': { status: 409, name: 'LinkCreationConflict' },
  'precondition-failed': { status: 412, name: 'PreconditionFailed' },
  'message-too-large': { status: 413, name: 'MessageTooLarge' },
  throttled: { status: 429, name: 'ThrottlingException' },
  'storage-full': { status: 503, name: 'ServiceUnavailable' },
  'connection-superseded': { status: 409, name: 'LinkCreationConflict' },
  'credential-expired': { status: 401, name: 'IotHubUnauthorizedAccess' },
  'shutting-down': { status: 503, name: 'ServiceUnavailable' },
  'not-implemented': { status: 501, name: 'NotImplemented' },
  internal: { status: 500, name: 'ServerError' },
} as const satisfies Record<HubErrorCode, { status: number; name: string }>

/** The hub's error envelope: SDKs read the code from the header, or from `ErrorCode:<Name>;` in `Message`. */
export function hubFailure(failure: Failure, now: number): FailureShape {
  const { status, name } = HUB_FAILURES[failure.code]
  return {
    status: failure.status ?? status,
    headers: { 'iothub-errorcode': name },
    body: {
      // SDKs split the text at semicolons and keep the second part.
      Message: `ErrorCode:${name};${failure.message.replaceAll(';', ',')}`,
      ExceptionMessage: `Tracking ID:${failure.trackingId}-G:0-TimeStamp:${usTimestamp(now)}`,
    },
  }
}

/** Name of a code in the hub's REST vocabulary, for results that carry codes per item. */
export function hubErrorName(code: HubErrorCode): string {
  return HUB_FAILURES[code].name
}

/** `MM/dd/yyyy HH:mm:ss`, UTC, the form of the hub's envelopes. */
function usTimestamp(now: number): string {
  const iso = new Date(now).toISOString()
  return `${iso.slice(5, 7)}/${iso.slice(8, 10)}/${iso.slice(0, 4)} ${iso.slice(11, 19)}`
}
