import type { Clock } from '../../ports/clock.ts'
import { requireApiVersion } from '../api-version.ts'
import { answerFailuresIn } from '../routes.ts'
import type { Routes } from '../routes.ts'
import { deviceReadRoutes, deviceWriteRoutes, statisticsRoutes, twinRoutes } from './devices.ts'
import type { RegistryParts } from './devices.ts'
import { hubFailure } from './hub-failure.ts'
import { unsupportedRoutes } from './unsupported.ts'

/** The hub's service API, as back ends use it. */
export function serviceApi(routes: Routes, parts: RegistryParts & { readonly clock: Clock }): void {
  answerFailuresIn(routes, hubFailure, parts.clock)
  routes.addHook('onRequest', requireApiVersion)
  deviceReadRoutes(routes, parts)
  deviceWriteRoutes(routes, parts)
  twinRoutes(routes, parts)
  statisticsRoutes(routes, parts)
  unsupportedRoutes(routes)
}
