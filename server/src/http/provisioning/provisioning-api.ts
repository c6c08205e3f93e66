import type { Clock } from '../../ports/clock.ts'
import type { Registrar } from '../../provisioning/register.ts'
import { requireApiVersion } from '../api-version.ts'
import { answerFailuresIn } from '../routes.ts'
import type { Routes } from '../routes.ts'
import { deviceRegistrationRoutes } from './device-registration.ts'
import { enrollmentGroupReadRoutes, enrollmentGroupWriteRoutes } from './enrollment-groups.ts'
import type { EnrollmentParts } from './enrollment-requests.ts'
import { individualEnrollmentReadRoutes, individualEnrollmentWriteRoutes } from './individual-enrollments.ts'
import { provisioningFailure } from './provisioning-failure.ts'
import { registrationStateRoutes } from './registration-states.ts'

/** The provisioning service: its service API for back ends and its device API. */
export function provisioningApi(
  routes: Routes,
  parts: EnrollmentParts & { readonly registrar: Registrar; readonly clock: Clock },
): void {
  answerFailuresIn(routes, provisioningFailure, parts.clock)
  routes.addHook('onRequest', requireApiVersion)
  individualEnrollmentReadRoutes(routes, parts)
  individualEnrollmentWriteRoutes(routes, parts)
  enrollmentGroupReadRoutes(routes, parts)
  enrollmentGroupWriteRoutes(routes, parts)
  registrationStateRoutes(routes, parts)
  deviceRegistrationRoutes(routes, parts)
}
