import { HubError } from '../errors.ts'
import type { HubErrorCode } from '../errors.ts'
import type { AmqpFailure } from './rhea.ts'

interface Translation {
  /** Error condition of a detach, a close or a rejected outcome. */
  readonly condition: string
  /** `status-code` of a reply of the `$cbs` and `$management` nodes. */
  readonly status: number
}

const ARGUMENT = { condition: 'com.microsoft:argument-error', status: 400 }
const NOT_FOUND = { condition: 'amqp:not-found', status: 404 }
const UNAUTHORIZED = { condition: 'amqp:unauthorized-access', status: 401 }
const LIMIT = { condition: 'amqp:resource-limit-exceeded', status: 403 }
const CONFLICT = { condition: 'com.microsoft:precondition-failed', status: 409 }
const INTERNAL = { condition: 'amqp:internal-error', status: 500 }

/** The conditions are those that the device and Event Hubs SDKs know; an unknown one ends in a nameless error there. */
const TRANSLATIONS = {
  'argument-invalid': ARGUMENT,
  'format-invalid': ARGUMENT,
  'protocol-version-invalid': ARGUMENT,
  unauthorized: UNAUTHORIZED,
  forbidden: UNAUTHORIZED,
  'hub-not-found': NOT_FOUND,
  'device-not-found': NOT_FOUND,
  'device-disabled': UNAUTHORIZED,
  'device-already-exists': { condition: 'com.microsoft:device-already-exists', status: 409 },
  'device-limit-exceeded': LIMIT,
  'device-scope-invalid': UNAUTHORIZED,
  'module-not-found': NOT_FOUND,
  'certificate-not-found': NOT_FOUND,
  'certificate-refused': UNAUTHORIZED,
  'certificate-limit-exceeded': LIMIT,
  'possession-unproven': UNAUTHORIZED,
  'enrollment-not-found': NOT_FOUND,
  'enrollment-already-exists': CONFLICT,
  'enrollment-disabled': UNAUTHORIZED,
  'registration-not-found': NOT_FOUND,
  'operation-not-found': NOT_FOUND,
  'allocation-failed': { condition: 'amqp:not-allowed', status: 400 },
  'consumer-group-not-found': NOT_FOUND,
  'consumer-group-already-exists': CONFLICT,
  'partition-not-found': { condition: 'com.microsoft:argument-out-of-range', status: 400 },
  'reader-limit-exceeded': LIMIT,
  'reader-stolen': { condition: 'amqp:link:stolen', status: 409 },
  'precondition-failed': { condition: 'com.microsoft:precondition-failed', status: 412 },
  'message-too-large': { condition: 'amqp:link:message-size-exceeded', status: 413 },
  throttled: { condition: 'com.microsoft:device-container-throttled', status: 429 },
  'storage-full': { condition: 'com.microsoft:quota-exceeded', status: 403 },
  'connection-superseded': { condition: 'amqp:link:stolen', status: 409 },
  'credential-expired': UNAUTHORIZED,
  'shutting-down': { condition: 'amqp:connection:forced', status: 503 },
  'not-implemented': { condition: 'amqp:not-implemented', status: 501 },
  internal: INTERNAL,
} as const satisfies Record<HubErrorCode, Translation>

export function translate(code: HubErrorCode): Translation {
  return TRANSLATIONS[code]
}

/** What the peer is told of a failure: the domain's own sentence, and of a defect only that there is one. */
export function failureOf(error: unknown): AmqpFailure {
  if (!(error instanceof HubError))
    return { condition: INTERNAL.condition, description: 'The server failed to do this; its log says why.' }
  const info = error.trackingId === undefined ? undefined : { 'com.microsoft:tracking-id': error.trackingId }
  const failure = { condition: TRANSLATIONS[error.code].condition, description: error.message }
  return info === undefined ? failure : { ...failure, info }
}
