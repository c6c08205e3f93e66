import type { Duplex } from 'node:stream'
import type { Peer } from '../model/peer.ts'
import type { Probation } from './admission.ts'

/** A protocol that reads a byte stream: MQTT or AMQP, over TLS or inside a WebSocket. */
export interface ByteHead {
  /** Must call `probation.passed()` once the peer has authenticated; a connection that never does is cut off. */
  accept(stream: Duplex, peer: Peer, probation: Probation): void
  /** Says goodbye to every connection; resolves when all are gone or `graceMs` has passed. */
  close(graceMs: number): Promise<void>
}
