import type { Presence } from '../../model/alarm.ts'
import type { Session } from '../../model/session.ts'
import { summarizeChain } from '../refusals/refusals.ts'

/** Who a session is, for the evidence of an alarm. */
export function presenceOf({ hub, deviceId, openedAt, peer, path }: Session): Presence {
  const [certificate = null] = path.length === 0 ? [] : summarizeChain(peer.chain.slice(0, 1))
  return { time: openedAt, hub, deviceId, address: peer.address, port: peer.port, protocol: peer.protocol, certificate }
}
