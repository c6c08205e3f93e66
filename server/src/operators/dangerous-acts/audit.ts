import type { AuditLog } from '../../audit/audit-log.ts'
import type { PruneOrder } from '../../audit/pruning.ts'
import type { ClosedSegment } from '../../audit/segments.ts'
import type { Asker, SecondPerson } from '../second-person.ts'

export interface AuditActParts {
  readonly audit: Pick<AuditLog, 'facts' | 'prune'>
  readonly secondPerson: SecondPerson
}

/** What leaves the audit log. */
export class AuditActs {
  readonly #parts: AuditActParts

  constructor(parts: AuditActParts) {
    this.#parts = parts
  }

  /** As `AuditLog.prune`. */
  async prune(asker: Asker, order: PruneOrder): Promise<ClosedSegment> {
    const { audit, secondPerson } = this.#parts
    await secondPerson.demand(asker, 'audit.prune', () => {
      const { first } = audit.facts()
      const cutsOff = `Entries ${first} to ${order.upTo} of the audit log leave this server; '${asker.who.name}' holds a copy.`
      return { state: String(first), cutsOff }
    })
    const { who, from, trackingId } = asker
    return audit.prune(order, { who, from, trackingId })
  }
}
