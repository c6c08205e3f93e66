import type { FastifyRequest } from 'fastify'
import { certificateId, parseCertificate } from '@holdfast/pki'
import type { AuditLog } from '../../audit/audit-log.ts'
import { HubError } from '../../errors.ts'
import type { Finding } from '../../hub/findings/finding.ts'
import { ofPeer } from '../../hub/refusals/refusals.ts'
import type { Refusals } from '../../hub/refusals/refusals.ts'
import type { Holders, LossReason } from '../../hub/holders.ts'
import { certificateGround } from '../../model/ground.ts'
import type { Ground } from '../../model/ground.ts'
import { roleMay } from '../../model/operator.ts'
import type { OperatorRight } from '../../model/operator.ts'
import type { Peer } from '../../model/peer.ts'
import type { RefusalRule } from '../../model/refusal.ts'
import { judgeLogIn } from '../../operators/certificate-log-in.ts'
import type { CertificateLogInParts } from '../../operators/certificate-log-in.ts'
import type { HarmlessOperators } from '../../operators/dangerous-acts/dangerous-acts.ts'
import { addressKeyOf } from '../../net/admission.ts'
import { FailedLogIns } from '../../operators/failed-log-ins.ts'
import { groundOf } from '../../operators/operators.ts'
import type { AuthenticatedOperator, LogInFailure } from '../../operators/operators.ts'
import { authorizationOf, bearerTokenOf } from '../authorization.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { RequestStep } from '../routes.ts'
import { letIn } from '../stated-access.ts'
import type { Act, StatedAccess } from '../stated-access.ts'

/** What a route takes into its options to be for operators. */
export interface OperatorRoute {
  readonly onRequest: RequestStep
  readonly config: { readonly access: StatedAccess }
}

interface AccessParts extends CertificateLogInParts {
  readonly operators: Pick<HarmlessOperators, 'byToken' | 'byCertificate'>
  readonly refusals: Refusals
  readonly holders: Pick<Holders, 'hold' | 'release' | 'moment'>
  readonly audit: AuditLog
}

/** The one door of the operator's APIs: who is it, and does the role have the right that the route states? */
export class ManagementAccess {
  readonly #parts: AccessParts
  readonly #operators = new WeakMap<FastifyRequest, AuthenticatedOperator>()
  readonly #failures: FailedLogIns

  constructor(parts: AccessParts) {
    this.#parts = parts
    this.#failures = new FailedLogIns(parts.clock)
  }

  /** For a route that needs this right; it is judged before the body is read. With `act`, what the route does is recorded. */
  may(right: OperatorRight, act?: Act): OperatorRoute {
    return {
      onRequest: (request) => this.#admit(request, right),
      config: { access: { kind: 'operator', right, ...(act && { act }) } },
    }
  }

  /** Whether an admitted operator has one more right, e.g. to see the keys of what he may see. */
  allows(request: FastifyRequest, right: OperatorRight): boolean {
    return roleMay(this.operatorOf(request).role, right)
  }

  operatorOf(request: FastifyRequest): AuthenticatedOperator {
    const operator = this.#operators.get(request)
    if (operator === undefined) throw new HubError('internal', 'This route lets requests in without a log-in.')
    return operator
  }

  /**
   * For a request that waits: `lost` is called at once when the operator's log-in ends. Resolves with the way to stop;
   * rejects as it was let in, should the log-in have ended meanwhile.
   */
  async hold(request: FastifyRequest, lost: (error: HubError) => void): Promise<() => void> {
    const { holders } = this.#parts
    const operator = this.operatorOf(request)
    const peer = peerOfRequest(request)
    const holder = {
      grounds: [groundOf(operator), ...this.#certificatesOf(operator, peer)],
      expiresAt: operator.credential?.expires ?? null,
      asOf: holders.moment,
      leaf: operator.method === 'certificate' ? peer.chain[0] : undefined,
      lost: (reason: LossReason) => lost(endOf(reason)),
    }
    holders.hold(holder)
    const again = await this.#logIn(request, peer)
    if (!('rule' in again)) return () => holders.release(holder)
    holders.release(holder)
    throw this.#refuse(peer, again)
  }

  /** Whichever hub revokes one of them. */
  #certificatesOf({ method }: AuthenticatedOperator, { chain }: Peer): readonly Ground[] {
    if (method !== 'certificate') return []
    const ids = chain.map((der) => certificateId(parseCertificate(der)))
    return this.#parts.hubs.all().flatMap(({ name }) => ids.map((id) => certificateGround(name, id)))
  }

  /** Rejects with `unauthorized`, `forbidden`, or `throttled` while somebody tries again and again. */
  async #admit(request: FastifyRequest, right: OperatorRight): Promise<void> {
    const peer = peerOfRequest(request)
    const operator = await this.#logIn(request, peer)
    if ('rule' in operator) throw this.#refuse(peer, operator)
    const { name, role, method } = operator
    const actor = { name, role, method }
    this.#operators.set(request, operator)
    letIn(request, actor)
    if (roleMay(role, right)) return
    const { address, protocol } = peer
    const target = { method: request.method, path: request.routeOptions.url ?? null, right }
    const from = { address, protocol }
    this.#parts.audit.note({ kind: 'event', act: 'access.denied', who: actor, from, trackingId: request.id, target })
    throw new HubError('forbidden', `'${name}' has the role ${role}, which has no right to ${right}.`)
  }

  async #logIn(request: FastifyRequest, { chain }: Peer): Promise<AuthenticatedOperator | Failure> {
    if (authorizationOf(request) === null) {
      const [leaf] = chain
      if (leaf === undefined) return { rule: 'token-missing', principal: null }
      const operator = this.#parts.operators.byCertificate(leaf)
      if ('rule' in operator) return operator
      const objection = await judgeLogIn(chain, this.#parts)
      return objection === null ? operator : { ...objection, principal: operator.name }
    }
    const token = bearerTokenOf(request)
    if (token === null) return { rule: 'token-signature-wrong', principal: null }
    const operator = this.#parts.operators.byToken(token)
    if (!('rule' in operator) || operator.rule !== 'token-expired') return operator
    const message = `This token of '${operator.principal}' has expired: an owner makes another one with 'holdfast operator token'.`
    return { rule: operator.rule, message, principal: operator.principal ?? '' }
  }

  #refuse(peer: Peer, failure: Failure): HubError {
    const { rule, principal } = failure
    const wait = this.#failures.count(addressKeyOf(peer.address), principal)
    if (wait > 0)
      return new HubError('throttled', 'Too many failed log-ins of this address or operator.', { retryAfter: wait })
    const refused = this.#parts.refusals.refuse(
      {
        area: 'http',
        hub: null,
        ...ofPeer(peer),
        identity: principal === null ? 'management' : `management: ${principal}`,
        rule,
        message: 'The request carries no valid management token and no certificate of an operator.',
        remedy:
          "Send 'Authorization: Bearer <token>' with a token of an operator, or the one from the server's management token file.",
        ...('message' in failure && { message: failure.message, ...(failure.remedy && { remedy: failure.remedy }) }),
      },
      'unauthorized',
    )
    // Who has proven the key of a certificate that is known may be told what is wrong with it.
    if (!('message' in failure)) return refused
    return new HubError('unauthorized', failure.message, { trackingId: refused.refusal.trackingId })
  }
}

type Failure =
  | LogInFailure
  | { readonly rule: Extract<RefusalRule, 'token-missing'>; readonly principal: null }
  | (Pick<Finding, 'rule' | 'message' | 'remedy'> & { readonly principal: string })

function endOf(reason: LossReason): HubError {
  if (reason === 'credential-expired')
    return new HubError('credential-expired', 'The log-in of this request has expired.')
  return new HubError('unauthorized', 'The log-in of this request was revoked.')
}
