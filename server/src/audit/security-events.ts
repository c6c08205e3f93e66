import type { Alarm } from '../model/alarm.ts'
import type { Refusal } from '../model/refusal.ts'
import type { AuditLog } from './audit-log.ts'
import { plainJson } from './canonical-json.ts'
import { ownRecord } from './chain.ts'

const INTERVAL_MS = 60_000
/** Failed log-ins of an interval that are written one by one; the others are in its sum. */
const LOG_INS_IN_FULL = 100
const MAX_ADDRESSES = 20
const MAX_CAUSES = 200

/** What happens to the server without an operator's order: alarms and failed log-ins each, refusals summed up. */
export class SecurityEvents {
  readonly #audit: AuditLog
  readonly #causes = new Map<string, number>()
  readonly #addresses = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  #refused = 0
  #logIns = 0

  constructor(audit: AuditLog) {
    this.#audit = audit
    this.#timer = setInterval(() => this.#sumUp(), INTERVAL_MS)
    this.#timer.unref()
  }

  refused(refusal: Refusal): void {
    const { area, hub, identity, rule, peer, protocol, trackingId } = refusal
    this.#refused++
    count(this.#causes, `${area} ${hub ?? '-'} ${rule}`, MAX_CAUSES)
    count(this.#addresses, peer.address, MAX_ADDRESSES)
    if (area !== 'http' || !identity.startsWith('management') || ++this.#logIns > LOG_INS_IN_FULL) return
    const from = { address: peer.address, protocol }
    this.#audit.note({
      ...ownRecord('event', 'login.failed'),
      from,
      trackingId,
      target: { identity },
      detail: { rule },
    })
  }

  alarmed(alarm: Alarm): void {
    const { id, kind, hub, subject } = alarm
    this.#audit.note({ ...ownRecord('event', 'alarm.raised'), target: plainJson({ id, kind, hub, subject }) })
  }

  close(): void {
    clearInterval(this.#timer)
    this.#sumUp()
  }

  #sumUp(): void {
    if (this.#refused > 0) {
      const detail = {
        count: this.#refused,
        causes: Object.fromEntries(this.#causes),
        addresses: Object.fromEntries(this.#addresses),
      }
      this.#audit.note({ ...ownRecord('event', 'refusals'), detail })
    }
    this.#refused = 0
    this.#logIns = 0
    this.#causes.clear()
    this.#addresses.clear()
    this.#audit.signSoon()
  }
}

/** Counts under a name; beyond `most` names under 'others'. */
function count(counts: Map<string, number>, name: string, most: number): void {
  const known = counts.has(name) || counts.size < most ? name : 'others'
  counts.set(known, (counts.get(known) ?? 0) + 1)
}
