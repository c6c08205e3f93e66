import { createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { AuditLog } from '../audit/audit-log.ts'
import type { Json } from '../audit/canonical-json.ts'
import type { AuditRecord } from '../audit/entry.ts'
import { withoutSecrets } from '../audit/without-secrets.ts'
import { HubError } from '../errors.ts'
import type { Approvals } from '../operators/approvals.ts'
import type { Randomness } from '../ports/clock.ts'
import { peerOfRequest } from './request-peer.ts'
import type { Routes } from './routes.ts'
import { actorOf } from './stated-access.ts'
import type { Act } from './stated-access.ts'

export interface RecordedActsParts {
  readonly audit: AuditLog
  readonly approvals: Approvals
  /** Whether dangerous acts need a second person. */
  readonly secondPerson: boolean
  readonly random: Randomness
}

type Begun = Pick<AuditRecord, 'act' | 'who' | 'from' | 'trackingId' | 'target'> & { readonly of: number }

/**
 * Writes down every act that a route states: what is wanted before it is done, how it ended before it is answered. What
 * cannot be written down first is not done.
 */
export function recordActs(app: Routes, { audit, approvals, secondPerson, random }: RecordedActsParts): void {
  const digestKey = createSecretKey(Buffer.from(random.bytes(32)))
  const begun = new WeakMap<FastifyRequest, Begun>()

  app.addHook('preHandler', async (request) => {
    const act = actOf(request)
    if (act === undefined) return
    const about = describe(request, act, digestKey)
    const isDangerous = secondPerson && (await act.isDangerous?.(request)) === true
    const approvedBy = isDangerous ? await second(request, about, { audit, approvals }) : null
    const before = await stateBefore(act, request)
    const { sequence } = await audit.append({
      ...about,
      kind: 'intent',
      before: withoutSecrets(before, digestKey),
      detail: { wanted: withoutSecrets(request.body ?? null, digestKey), ...(approvedBy && { approvedBy }) },
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

/** Name of the one who approved. Throws `forbidden` while nobody has. */
async function second(
  request: FastifyRequest,
  about: Omit<AuditRecord, 'kind'>,
  { audit, approvals }: Pick<RecordedActsParts, 'audit' | 'approvals'>,
): Promise<string> {
  const { method, url: path, body } = request
  const taken = approvals.take({ act: about.act, operator: about.who.name, method, path, body })
  if ('approvedBy' in taken) return taken.approvedBy
  const { id, expires } = taken.waiting
  if (taken.isNew)
    await audit.append({ ...about, kind: 'event', act: 'approval.requested', detail: { id, act: about.act } })
  throw new HubError(
    'forbidden',
    `This needs a second person: another operator runs 'holdfast approvals approve ${id}' before ${new Date(expires).toISOString()}, then the same command does it.`,
  )
}

function actOf(request: FastifyRequest): Act | undefined {
  const { access } = request.routeOptions.config
  return access !== undefined && 'act' in access ? access.act : undefined
}

function describe(request: FastifyRequest, act: Act, digestKey: KeyObject): Omit<AuditRecord, 'kind'> {
  const { address, protocol } = peerOfRequest(request)
  return {
    act: act.name,
    who: actorOf(request),
    from: { address, protocol },
    trackingId: request.id,
    target: withoutSecrets(request.params ?? null, digestKey),
  }
}

/** What cannot be loaded is not there, or is judged by the act itself. */
async function stateBefore(act: Act, request: FastifyRequest): Promise<unknown> {
  try {
    return (await act.before?.(request.params as Record<string, string>)) ?? null
  } catch (error) {
    if (error instanceof HubError && error.code !== 'internal') return null
    throw error
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
