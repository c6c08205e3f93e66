import type { AuditLog } from '../audit/audit-log.ts'
import type { Actor, AuditRecord } from '../audit/entry.ts'
import { HubError } from '../errors.ts'
import type { Approval } from '../model/approval.ts'
import type { DangerousActName } from '../model/dangerous-act.ts'
import { OWNER_NAME } from '../model/operator.ts'
import type { Approvals } from './approvals.ts'
import type { AuthenticatedOperator, Operators } from './operators.ts'

/** Who asks for a dangerous act, and by which request. */
export interface Asker extends Pick<AuditRecord, 'from' | 'trackingId'> {
  readonly who: Actor
  /** Method, path and query. */
  readonly path: string
  /** SHA-256, hex, of all of the request that decides what is done: method, path, query, body and conditions. */
  readonly request: string
}

/** What an act would be done to, as it is now. */
export interface Facts {
  /** Changes with whatever the one who approves has judged, such as an etag. */
  readonly state: string
  /** A sentence. */
  readonly cutsOff: string
}

export interface SecondPersonParts {
  /** Whether dangerous acts need a second person at all. */
  readonly isWanted: boolean
  readonly approvals: Approvals
  readonly operators: Operators
  readonly audit: AuditLog
}

/**
 * The one gate of dangerous acts: each verb of the closed list asks here before it does anything. A principal asks, another
 * one approves, and the first one does it, once, by the same request and to the same state.
 */
export class SecondPerson {
  readonly #parts: SecondPersonParts

  constructor(parts: SecondPersonParts) {
    this.#parts = parts
  }

  /** Resolves when the act may be done now. Rejects with `forbidden` while nobody has approved it. */
  async demand(asker: Asker, act: DangerousActName, facts: () => Facts | Promise<Facts>): Promise<void> {
    if (!this.#parts.isWanted) return
    // Whoever may read the keys of policies could ask by one and approve as himself.
    if (asker.who.method === 'policy')
      throw new HubError(
        'forbidden',
        `'${act}' needs a second person, and an access policy is nobody: an operator asks for it by the management API.`,
      )
    const { state, cutsOff } = await facts()
    const { path, request } = asker
    const wanted = { act, path, cutsOff, requestedBy: asker.who.name, request, state }
    const taken = await this.#parts.approvals.take(wanted, (approval) => this.#stands(approval))
    if (taken.kind === 'approved') return this.#record(asker, 'approval.used', taken.approval)
    if (taken.replaced !== null) await this.#record(asker, 'approval.void', taken.replaced)
    if (taken.isNew) await this.#record(asker, 'approval.requested', taken.approval)
    throw this.#waits(taken.approval, taken.replaced)
  }

  /**
   * The one way around the gate: the first operator who could approve at all has to be made by somebody alone. It is open
   * until there was one, and never again; each use is an entry of its own.
   */
  async goAlone(asker: Asker, act: DangerousActName, target: string): Promise<void> {
    if (!this.#parts.isWanted) return
    const detail = { act, operator: target, why: 'nobody could approve yet' }
    await this.#parts.audit.append({ ...recordOf(asker), kind: 'event', act: 'second-person.bypassed', detail })
  }

  list(): readonly Approval[] {
    return this.#parts.approvals.list()
  }

  get(id: string): Approval {
    return this.#parts.approvals.get(id)
  }

  /** Rejects with `forbidden` unless the one who approves is somebody else, and the one who asked has no hand in that. */
  async approve(id: string, by: AuthenticatedOperator): Promise<Approval> {
    const approval = this.get(id)
    const objection = this.#objection(approval, by)
    if (objection !== null) throw new HubError('forbidden', objection)
    return this.#parts.approvals.approve(id, by.name)
  }

  deny(id: string): Promise<Approval> {
    return this.#parts.approvals.deny(id)
  }

  #objection({ requestedBy, requestedAt }: Approval, { name, credential }: AuthenticatedOperator): string | null {
    if (requestedBy === name) return 'A second person must approve: nobody approves what he asked for himself.'
    if (name === OWNER_NAME || credential === null) return null
    const { created } = this.#parts.operators.get(name)
    const isOwnMaking = credential.madeBy === name
    if (created >= requestedAt || (!isOwnMaking && credential.created >= requestedAt))
      return `'${name}', or this log-in, was made after '${requestedBy}' had asked: deny it, and have it asked for again.`
    if (credential.kind === 'token' && (credential.madeBy === undefined || credential.madeBy === requestedBy))
      return `'${requestedBy}' may have been told this token when it was made for '${name}': renew it first, by 'holdfast operator renew'.`
    return null
  }

  /** Whether both are still who they were. */
  #stands({ requestedBy, requestedAt, approvedBy }: Approval): boolean {
    const { operators } = this.#parts
    const asked = operators.find(requestedBy)
    if (requestedBy !== OWNER_NAME && (asked === null || asked.created > requestedAt)) return false
    return approvedBy === null || operators.mayApprove(approvedBy)
  }

  #waits({ id, requestedBy, expires }: Approval, replaced: Approval | null): HubError {
    const changed =
      replaced === null ? '' : 'What was asked for before has changed since, or who approved it has gone. '
    if (!this.#parts.operators.approvers().some((name) => name !== requestedBy))
      return new HubError(
        'forbidden',
        `${changed}This needs a second person, and there is none: make one with 'holdfast operator create NAME --role security-officer'; then '${id}' can be approved.`,
      )
    return new HubError(
      'forbidden',
      `${changed}This needs a second person: another operator runs 'holdfast approvals approve ${id}' before ${new Date(expires).toISOString()}, then the same command does it.`,
    )
  }

  async #record(asker: Asker, act: string, approval: Approval): Promise<void> {
    await this.#parts.audit.append({ ...recordOf(asker), kind: 'event', act, ...aboutApproval(approval) })
  }
}

/** What the audit log says of an approval. */
export function aboutApproval({ id, act, path, cutsOff, requestedBy, approvedBy }: Approval) {
  return { target: { id }, detail: { act, path, cutsOff, requestedBy, approvedBy } }
}

function recordOf({ who, from, trackingId }: Asker): Pick<AuditRecord, 'who' | 'from' | 'trackingId'> {
  return { who, from, trackingId }
}
