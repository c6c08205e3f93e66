import type { AuthorityUsage, AuthorityUse } from '../../hub/authorities/authority-usage.ts'
import type { Sessions } from '../../hub/sessions/sessions.ts'
import { certificateGround } from '../../model/ground.ts'
import type { HubName } from '../../model/ids.ts'

/** Live sessions that rest on a CA and end with it. */
export function liveBelow(sessions: Pick<Sessions, 'on'>, hub: HubName, { ids }: AuthorityUse): number {
  const grounds = ids.map((id) => certificateGround(hub, id))
  return new Set(grounds.flatMap((ground) => sessions.on(ground))).size
}

export interface CutOffParts {
  readonly usage: Pick<AuthorityUsage, 'list'>
  readonly sessions: Pick<Sessions, 'on'>
}

/** What goes with these CAs of a hub, in a sentence. */
export async function cutOffBelow(
  { usage, sessions }: CutOffParts,
  hub: HubName,
  isMeant: (use: AuthorityUse) => boolean,
): Promise<string> {
  const uses = (await usage.list(hub)).filter(isMeant)
  const devices = uses.reduce((sum, use) => sum + use.devices, 0)
  const live = uses.reduce((sum, use) => sum + liveBelow(sessions, hub, use), 0)
  return `${devices} devices rest on it at hub '${hub}', and ${live} live connections.`
}
