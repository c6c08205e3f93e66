import type { FastifyRequest } from 'fastify'
import { HubError } from '../../errors.ts'
import type { Door } from '../../hub/door/authenticate.ts'
import type { HubRight } from '../../model/access-policy.ts'
import type { HubName } from '../../model/ids.ts'
import { authorizationOf, hostOf } from '../authorization.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { RequestStep } from '../routes.ts'
import { letIn } from '../stated-access.ts'
import type { Act, PolicyRoute } from '../stated-access.ts'

const admitted = new WeakMap<FastifyRequest, HubName>()

/**
 * What each service route takes into its options: the caller's token must carry the right at the hub of the Host header.
 * It runs before the body is read. `resource` is the path below the host that the token must cover.
 */
export function requireRight(door: Door, right: HubRight, act?: Act): PolicyRoute {
  const onRequest: RequestStep = async (request) => {
    const principal = await door.service(
      hostOf(request),
      authorizationOf(request),
      right,
      peerOfRequest(request),
      resourceOf(request),
    )
    if (principal.owner.kind === 'hub') admitted.set(request, principal.owner.hub)
    letIn(request, { name: `${hostOf(request)} ${principal.policy}`, role: null, method: 'policy' })
  }
  return { onRequest, config: { access: { kind: 'hub-policy', right, ...(act && { act }) } } }
}

/** The hub that the request was admitted to. */
export function hubOf(request: FastifyRequest): HubName {
  const hub = admitted.get(request)
  if (hub === undefined) throw new HubError('internal', 'This route lets requests in without a right.')
  return hub
}

/** `devices/d1` for `/devices/d1?…`: the decoded path without outer slashes. */
function resourceOf(request: FastifyRequest): string {
  const { deviceId } = request.params as { deviceId?: string }
  const collection = request.routeOptions.url?.split('/')[1] ?? ''
  return deviceId === undefined ? collection : `${collection}/${deviceId}`
}
