import type { Log } from '../log.ts'
import type { SettingStore } from '../ports/registry.ts'
import type { AuditLog } from './audit-log.ts'
import { plainJson } from './canonical-json.ts'
import { ownRecord } from './chain.ts'
import { SecurityEvents } from './security-events.ts'

/** Sequence that the log had reached at the last start or stop, kept apart from the log. */
const REACHED = 'audit.reached'

/**
 * Writes down that the server begins and with which settings, and as the last thing that it ends. A log that is shorter than
 * the registry remembers, or gone, says so itself.
 */
export async function recordLife(
  audit: AuditLog,
  { config, settings, log }: { config: unknown; settings: SettingStore; log: Log },
): Promise<{ readonly events: SecurityEvents; readonly close: () => Promise<void> }> {
  const { sequence, lastAct } = audit.found
  const reached = Number((await settings.get(REACHED)) ?? 0)
  if (reached > sequence) {
    log.error({ reached, found: sequence }, 'the end of the audit log is missing')
    audit.note({ ...ownRecord('event', 'audit.shortened'), detail: { reached, found: sequence } })
  }
  const endedWell = reached === 0 || lastAct === 'server.stopped'
  audit.note({ ...ownRecord('event', 'server.started'), detail: { config: plainJson(config), endedWell } })
  await settings.put(REACHED, String(Math.max(reached > sequence ? 0 : reached, sequence)))
  const events = new SecurityEvents(audit)
  return {
    events,
    close: async () => {
      events.close()
      audit.note(ownRecord('event', 'server.stopped'))
      await audit.close()
      await settings.put(REACHED, String(audit.facts().sequence))
    },
  }
}
