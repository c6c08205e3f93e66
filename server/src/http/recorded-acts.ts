import { createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { AuditLog } from '../audit/audit-log.ts'
import type { Json } from '../audit/canonical-json.ts'
import type { AuditRecord } from '../audit/entry.ts'
import { withoutSecrets } from '../audit/without-secrets.ts'
import { HubError } from '../errors.ts'
import type { Randomness } from '../ports/clock.ts'
import { peerOfRequest } from './request-peer.ts'
import type { Routes } from './routes.ts'
import { actorOf, stateOrNull } from './stated-access.ts'
import type { Act } from './stated-access.ts'

export interface RecordedActsParts {
  readonly audit: AuditLog
  readonly random: Randomness
}

type Begun = Pick<AuditRecord, 'act' | 'who' | 'from' | 'trackingId' | 'target'> & { readonly of: number }

/**
 * Writes down every act that a route states: what is wanted before it is done, how it ended before it is answered. What
 * cannot be written down first is not done.
 */
export function recordActs(app: Routes, { audit, random }: RecordedActsParts): void {
  const digestKey = createSecretKey(Buffer.from(random.bytes(32)))
  const begun = new WeakMap<FastifyRequest, Begun>()

  app.addHook('preHandler', async (request) => {
    const act = actOf(request)
    if (act === undefined) return
    const about = describe(request, act, digestKey)
    const before = await stateOrNull(async () => act.before?.(request.params as Record<string, string>, request))
    const { sequence } = await audit.append({
      ...about,
      kind: 'intent',
      before: withoutSecrets(before, digestKey),
      detail: { wanted: withoutSecrets(request.body ?? null, digestKey) },
    })
    const { act: name, who, from, trackingId, target } = about
    begun.set(request, { act: name, who, from, trackingId, ...(target !== undefined && { target }), of: sequence })
  })

  app.addHook('onSend', async (request, reply, payload) => {
    const act = begun.get(request)
    if (act === undefined) return payload
    begun.delete(request)
    await finish(act, reply, payload, digestKey, audit)
    return payload
  })
}

async function finish(
  act: Begun,
  reply: FastifyReply,
  payload: unknown,
  digestKey: KeyObject,
  audit: AuditLog,
): Promise<void> {
  const isDone = reply.statusCode < 400
  const outcome: AuditRecord = {
    ...act,
    kind: 'outcome',
    result: isDone ? 'done' : 'failed',
    after: withoutSecrets(jsonOf(payload), digestKey),
    detail: { status: reply.statusCode },
  }
  try {
    await audit.append(outcome)
  } catch (cause) {
    audit.note(outcome)
    if (!isDone) return
    throw new HubError('internal', 'It was done, but the audit log cannot be written: the outcome waits in memory.', {
      cause,
    })
  }
}

function actOf(request: FastifyRequest): Act | undefined {
  const { access } = request.routeOptions.config
  return access !== undefined && 'act' in access ? access.act : undefined
}

function describe(request: FastifyRequest, act: Act, digestKey: KeyObject): Omit<AuditRecord, 'kind'> {
  const { address, protocol } = peerOfRequest(request)
  // Subscription and resource group may be any words: they say nothing.
  const { subscription: _, group: __, ...target } = (request.params ?? {}) as Record<string, unknown>
  return {
    act: act.name,
    who: actorOf(request),
    from: { address, protocol },
    trackingId: request.id,
    target: Object.keys(target).length === 0 ? null : withoutSecrets(target, digestKey),
  }
}

function jsonOf(payload: unknown): Json {
  if (typeof payload !== 'string' || payload === '') return null
  try {
    return JSON.parse(payload) as Json
  } catch {
    return payload.length
  }
}
