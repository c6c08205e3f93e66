import type { Duplex } from 'node:stream'
import type { Metrics } from '../metrics.ts'
import type { Peer } from '../model/peer.ts'
import type { Probation } from '../net/admission.ts'
import type { ByteHead } from '../net/byte-head.ts'
import { AmqpConnection } from './connection.ts'
import type { ConnectionParts } from './connection.ts'
import type { AmqpLimits } from './frame-guard.ts'

export interface AmqpHeadParts extends Omit<ConnectionParts, 'limits' | 'idleMs'> {
  readonly metrics: Pick<Metrics, 'connections' | 'connects'>
  readonly limits?: AmqpLimits
  readonly idleMs?: number
}

/** Frames as large as the services take; messages to us are tokens and registrations, all of them small. */
const LIMITS: AmqpLimits = { frameBytes: 65_536, sessions: 16, links: 64, messageBytes: 131_072 }
/** The services announce 240 s; a peer is gone when it was silent for twice what it was told (AMQP 1.0 §2.4.5). */
const IDLE_MS = 480_000

/** AMQP 1.0 over TLS, WebSocket or (development) plain TCP: the Event Hubs-compatible endpoint and provisioning. */
export class AmqpHead implements ByteHead {
  readonly #parts: ConnectionParts
  readonly #metrics: AmqpHeadParts['metrics']
  /** Bounded by the admission of the listeners. */
  readonly #connections = new Set<AmqpConnection>()
  #onEmpty: () => void = () => {}

  constructor({ metrics, ...parts }: AmqpHeadParts) {
    this.#parts = { limits: LIMITS, idleMs: IDLE_MS, ...parts }
    this.#metrics = metrics
  }

  accept(stream: Duplex, peer: Peer, probation: Probation): void {
    const counted = this.#counting(peer, probation)
    const connection = new AmqpConnection(stream, peer, counted.probation, this.#parts, () => {
      counted.gone()
      this.#connections.delete(connection)
      if (this.#connections.size === 0) this.#onEmpty()
    })
    this.#connections.add(connection)
  }

  async close(graceMs: number): Promise<void> {
    if (this.#connections.size === 0) return
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve
    })
    const goodbye = { condition: 'amqp:connection:forced', description: 'The server is shutting down: connect again' }
    for (const connection of this.#connections) connection.close(goodbye, graceMs)
    await empty
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  /** Counts a connection from the moment it has authenticated. */
  #counting({ protocol }: Peer, probation: Probation): { probation: Probation; gone: () => void } {
    let authenticated = false
    return {
      probation: {
        passed: () => {
          probation.passed()
          if (authenticated) return
          authenticated = true
          this.#metrics.connections.inc({ protocol })
          this.#metrics.connects.inc({ protocol })
        },
      },
      gone: () => {
        if (authenticated) this.#metrics.connections.dec({ protocol })
      },
    }
  }
}
