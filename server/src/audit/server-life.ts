import type { AuditLog } from './audit-log.ts'
import { plainJson } from './canonical-json.ts'
import { ownRecord } from './chain.ts'
import { SecurityEvents } from './security-events.ts'

/** Writes down that the server begins and with which settings, and as the last thing that it ends. */
export function recordLife(
  audit: AuditLog,
  { config }: { config: unknown },
): { readonly events: SecurityEvents; readonly close: () => Promise<void> } {
  const { sequence, lastAct } = audit.found
  const events = new SecurityEvents(audit)
  audit.note({
    ...ownRecord('event', 'server.started'),
    detail: { config: plainJson(config), endedWell: sequence === 0 || lastAct === 'server.stopped' },
  })
  return {
    events,
    close: async () => {
      events.close()
      audit.note(ownRecord('event', 'server.stopped'))
      await audit.close()
    },
  }
}
