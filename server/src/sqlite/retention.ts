import type { HubLog, Segment } from './hub-log.ts'
import { segmentSize } from './segment.ts'

/**
 * Makes the hubs forget their segments whose events are all older than `before`, then the oldest ones of all hubs until
 * at most `maxBytes` remain, and returns them to be deleted. The segment that a hub writes to always stays.
 */
export function takeOldSegments(
  hubs: Iterable<HubLog>,
  limits: { readonly before: number; readonly maxBytes: number },
): readonly Segment[] {
  const all = [...hubs]
  const sizes = new Map(all.flatMap((hub) => hub.segments).map((segment) => [segment, segmentSize(segment.path)]))
  const taken: Segment[] = []
  let bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  for (;;) {
    const hub = oldestOf(all)
    const segment = hub?.segments[0]
    if (hub === undefined || segment === undefined) return taken
    if (segment.lastTime >= limits.before && bytes <= limits.maxBytes) return taken
    hub.dropOldest()
    taken.push(segment)
    bytes -= sizes.get(segment) ?? 0
  }
}

/** The hub with the oldest of all segments that may go. */
function oldestOf(hubs: readonly HubLog[]): HubLog | undefined {
  return hubs.filter((hub) => hub.segments.length > 1).sort((a, b) => beginning(a) - beginning(b))[0]
}

function beginning(hub: HubLog): number {
  return hub.segments[0]?.lastTime ?? 0
}
