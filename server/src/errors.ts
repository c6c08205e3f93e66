/**
 * The closed set of things that can go wrong in the domain. Heads translate each code into their protocol's own
 * vocabulary by one total table (`satisfies Record<HubErrorCode, …>`); docs/errors.md is checked against this list.
 */
export const HUB_ERROR_CODES = [
  'argument-invalid',
  'format-invalid',
  'protocol-version-invalid',
  'unauthorized',
  'forbidden',
  'hub-not-found',
  'device-not-found',
  'device-disabled',
  'device-already-exists',
  'device-limit-exceeded',
  'device-scope-invalid',
  'module-not-found',
  'certificate-not-found',
  'certificate-refused',
  'certificate-limit-exceeded',
  'possession-unproven',
  'enrollment-not-found',
  'enrollment-already-exists',
  'enrollment-disabled',
  'registration-not-found',
  'operation-not-found',
  'allocation-failed',
  'consumer-group-not-found',
  'consumer-group-already-exists',
  'partition-not-found',
  'reader-limit-exceeded',
  'reader-stolen',
  'precondition-failed',
  'message-too-large',
  'throttled',
  'storage-full',
  'connection-superseded',
  'credential-expired',
  'shutting-down',
  'not-implemented',
  'internal',
] as const

export type HubErrorCode = (typeof HUB_ERROR_CODES)[number]

/** An expected failure of the domain: `message` is a whole sentence for a person and holds no secret. */
export class HubError extends Error {
  override readonly name = 'HubError'
  readonly code: HubErrorCode
  /** Set once the failure has been recorded as a refusal or logged. */
  readonly trackingId: string | undefined
  /** Seconds after which a retry makes sense, for `throttled`. */
  readonly retryAfter: number | undefined

  constructor(
    code: HubErrorCode,
    message: string,
    options: { cause?: unknown; trackingId?: string; retryAfter?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.trackingId = options.trackingId
    this.retryAfter = options.retryAfter
  }
}
