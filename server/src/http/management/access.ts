import type { FastifyRequest } from 'fastify'
import type { AuditLog } from '../../audit/audit-log.ts'
import { HubError } from '../../errors.ts'
import { ofPeer } from '../../hub/refusals/refusals.ts'
import type { RefusedError, Refusals } from '../../hub/refusals/refusals.ts'
import { roleMay } from '../../model/operator.ts'
import type { OperatorRight } from '../../model/operator.ts'
import type { Peer } from '../../model/peer.ts'
import type { RefusalRule } from '../../model/refusal.ts'
import type { AuthenticatedOperator, LogInFailure } from '../../operators/operators.ts'
import type { HarmlessOperators } from '../../operators/dangerous-acts/dangerous-acts.ts'
import type { Clock } from '../../ports/clock.ts'
import { authorizationOf, bearerTokenOf } from '../authorization.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { RequestStep } from '../routes.ts'
import { letIn } from '../stated-access.ts'
import type { Act, StatedAccess } from '../stated-access.ts'

/** Failed log-ins of an address, or in the name of an operator, within the window before more are put off. */
const TOLERATED_FAILURES = 10
const FAILURE_WINDOW_MS = 60_000
const MAX_REMEMBERED = 1_000

/** What a route takes into its options to be for operators. */
export interface OperatorRoute {
  readonly onRequest: RequestStep
  readonly config: { readonly access: StatedAccess }
}

interface AccessParts {
  readonly operators: Pick<HarmlessOperators, 'byToken' | 'byCertificate'>
  readonly refusals: Refusals
  readonly audit: AuditLog
  readonly clock: Clock
}

/** The one door of the operator's APIs: who is it, and does the role have the right that the route states? */
export class ManagementAccess {
  readonly #parts: AccessParts
  readonly #operators = new WeakMap<FastifyRequest, AuthenticatedOperator>()
  /** By address or operator, in order of the window's start; bounded by MAX_REMEMBERED, the oldest goes first. */
  readonly #failures = new Map<string, { since: number; count: number }>()

  constructor(parts: AccessParts) {
    this.#parts = parts
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

  /** Rejects with `unauthorized`, `forbidden`, or `throttled` while somebody tries again and again. */
  async #admit(request: FastifyRequest, right: OperatorRight): Promise<void> {
    const peer = peerOfRequest(request)
    const operator = this.#logIn(request, peer)
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

  #logIn(request: FastifyRequest, { chain }: Peer): AuthenticatedOperator | Failure {
    if (authorizationOf(request) === null) {
      const [leaf] = chain
      return leaf === undefined ? { rule: 'token-missing', principal: null } : this.#parts.operators.byCertificate(leaf)
    }
    const token = bearerTokenOf(request)
    return token === null ? { rule: 'token-signature-wrong', principal: null } : this.#parts.operators.byToken(token)
  }

  #refuse(peer: Peer, { rule, principal }: Failure): RefusedError | HubError {
    const waits = [`address ${peer.address}`, ...(principal === null ? [] : [`operator ${principal}`])].map((who) =>
      this.#countFailure(who),
    )
    const wait = Math.max(...waits)
    if (wait > 0)
      return new HubError('throttled', 'Too many failed log-ins of this address or operator.', { retryAfter: wait })
    return this.#parts.refusals.refuse(
      {
        area: 'http',
        hub: null,
        ...ofPeer(peer),
        identity: principal === null ? 'management' : `management: ${principal}`,
        rule,
        message: 'The request carries no valid management token and no certificate of an operator.',
        remedy:
          "Send 'Authorization: Bearer <token>' with a token of an operator, or the one from the server's management token file.",
      },
      'unauthorized',
    )
  }

  /** Seconds to wait, or 0 while failures are still tolerated. */
  #countFailure(who: string): number {
    const now = this.#parts.clock.now()
    const known = this.#failures.get(who)
    if (known !== undefined && now - known.since < FAILURE_WINDOW_MS) {
      known.count++
      return known.count > TOLERATED_FAILURES ? Math.ceil((known.since + FAILURE_WINDOW_MS - now) / 1000) : 0
    }
    this.#failures.delete(who)
    this.#failures.set(who, { since: now, count: 1 })
    const [oldest] = this.#failures.keys()
    if (this.#failures.size > MAX_REMEMBERED && oldest !== undefined) this.#failures.delete(oldest)
    return 0
  }
}

type Failure = LogInFailure | { readonly rule: Extract<RefusalRule, 'token-missing'>; readonly principal: null }
