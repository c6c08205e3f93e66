import { HubError } from '../../errors.ts'
import { provisioningError, provisioningErrorBody } from '../../provisioning/wire-registration.ts'
import type { Failure, FailureShape } from '../failure.ts'

/** The provisioning service's error body, the same as over MQTT and AMQP. */
export function provisioningFailure(failure: Failure, now: number): FailureShape {
  const { status, errorCode } = provisioningError(failure.code)
  const error = new HubError(failure.code, failure.message, { trackingId: failure.trackingId })
  return {
    status: failure.status ?? status,
    headers: { 'x-ms-error-code': String(errorCode) },
    body: provisioningErrorBody(error, now),
  }
}
