import type { Refusals } from '../hub/refusals/refusals.ts'
import type { Sessions } from '../hub/sessions/sessions.ts'
import { aboutRefusal, aboutSession } from '../log.ts'
import type { Log } from '../log.ts'

/**
 * Writes what becomes of devices into the log. A refusal is a line of its own, as far as it is kept: its rate is bounded
 * there. That a device comes and goes is for `debug`, for a fleet does it all the time.
 */
export function logDevices(log: Log, { sessions, refusals }: { sessions: Sessions; refusals: Refusals }): void {
  sessions.onChange((session, change, reason) => {
    if (change === 'connected') log.debug(aboutSession(session), 'a device connected')
    else log.debug({ ...aboutSession(session), reason: reason ?? 'left' }, 'a device disconnected')
  })
  refusals.onRecord((refusal) => log.info(aboutRefusal(refusal), refusal.message))
}
