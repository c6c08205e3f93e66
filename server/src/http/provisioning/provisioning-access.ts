import type { Door } from '../../hub/door/authenticate.ts'
import type { ProvisioningRight } from '../../model/access-policy.ts'
import { authorizationOf } from '../authorization.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { RequestStep } from '../routes.ts'
import { letIn } from '../stated-access.ts'
import type { Act, PolicyRoute } from '../stated-access.ts'

/** What each route of the service API takes into its options: the right is judged before the body is read. */
export function requireProvisioningRight(door: Door, right: ProvisioningRight, act?: Act): PolicyRoute {
  const onRequest: RequestStep = async (request) => {
    const { policy } = await door.provisioningService(authorizationOf(request), right, peerOfRequest(request))
    letIn(request, { name: `provisioning ${policy}`, role: null, method: 'policy' })
  }
  return { onRequest, config: { access: { kind: 'provisioning-policy', right, ...(act && { act }) } } }
}
