import type { HubError, HubErrorCode } from '../errors.ts'
import { Connack } from './packets.ts'
import type { ConnackCode } from './packets.ts'

/**
 * The CONNACK for each way to be refused. Device SDKs know two cases: 5 for everything about identity and credentials,
 * which they report, and 3 for everything that may pass, which they retry.
 */
const CODES = {
  'argument-invalid': Connack.notAuthorized,
  'format-invalid': Connack.identifierRejected,
  'protocol-version-invalid': Connack.unacceptableVersion,
  unauthorized: Connack.notAuthorized,
  forbidden: Connack.notAuthorized,
  'hub-not-found': Connack.notAuthorized,
  'device-not-found': Connack.notAuthorized,
  'device-disabled': Connack.notAuthorized,
  'device-already-exists': Connack.unavailable,
  'device-limit-exceeded': Connack.unavailable,
  'device-scope-invalid': Connack.notAuthorized,
  'module-not-found': Connack.notAuthorized,
  'certificate-not-found': Connack.notAuthorized,
  'certificate-refused': Connack.notAuthorized,
  'certificate-limit-exceeded': Connack.notAuthorized,
  'possession-unproven': Connack.notAuthorized,
  'enrollment-not-found': Connack.notAuthorized,
  'enrollment-already-exists': Connack.notAuthorized,
  'enrollment-disabled': Connack.notAuthorized,
  'registration-not-found': Connack.notAuthorized,
  'operation-not-found': Connack.notAuthorized,
  'allocation-failed': Connack.unavailable,
  'consumer-group-not-found': Connack.notAuthorized,
  'consumer-group-already-exists': Connack.notAuthorized,
  'partition-not-found': Connack.notAuthorized,
  'reader-limit-exceeded': Connack.unavailable,
  'reader-stolen': Connack.unavailable,
  'precondition-failed': Connack.unavailable,
  'message-too-large': Connack.notAuthorized,
  throttled: Connack.unavailable,
  'storage-full': Connack.unavailable,
  'connection-superseded': Connack.unavailable,
  'credential-expired': Connack.notAuthorized,
  'shutting-down': Connack.unavailable,
  'not-implemented': Connack.notAuthorized,
  internal: Connack.unavailable,
} as const satisfies Record<HubErrorCode, ConnackCode>

export function connackCodeOf(error: HubError): ConnackCode {
  return CODES[error.code]
}
