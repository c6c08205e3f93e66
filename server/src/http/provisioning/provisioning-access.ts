import type { Door } from '../../hub/authenticate.ts'
import type { ProvisioningRight } from '../../model/access-policy.ts'
import { authorizationOf } from '../authorization.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { RequestStep } from '../routes.ts'

/** The step that each route of the service API names first, before the body is read. */
export function requireProvisioningRight(door: Door, right: ProvisioningRight): RequestStep {
  return async function requireRight(request) {
    await door.provisioningService(authorizationOf(request), right, peerOfRequest(request))
  }
}
