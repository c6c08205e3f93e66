import type { LinkedHub } from '../model/enrollment.ts'
import type { Registration } from '../model/registration.ts'
import type { JsonObject, JsonValue } from '../model/twin.ts'
import type { AuthenticatedRegistration } from './authenticate-registration.ts'
import type { Place } from './decide.ts'
import { enrollmentGroupJson, individualEnrollmentJson } from './wire-enrollment.ts'
import { attestationJson } from './wire-registration.ts'

/** What a custom allocation webhook is told of a device. */
export function webhookRequest(
  { enrollment, registrationId }: Pick<AuthenticatedRegistration, 'enrollment' | 'registrationId'>,
  {
    assigned,
    proof,
    payload,
    eligible,
  }: {
    readonly assigned: Place | null
    readonly proof: Pick<Registration, 'attestation' | 'enrollment'>
    readonly payload: JsonValue | undefined
    readonly eligible: readonly LinkedHub[]
  },
): JsonObject {
  const subject =
    enrollment.kind === 'individual'
      ? { individualEnrollment: individualEnrollmentJson(enrollment) }
      : { enrollmentGroup: enrollmentGroupJson(enrollment) }
  return {
    ...subject,
    deviceRuntimeContext: {
      registrationId,
      ...(assigned !== null && { currentIotHubHostName: assigned.host, currentDeviceId: assigned.deviceId }),
      ...attestationJson(proof),
      ...(payload !== undefined && { payload }),
    },
    linkedHubs: eligible.map(({ host }) => host),
  }
}
