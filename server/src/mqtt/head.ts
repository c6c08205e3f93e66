import type { Duplex } from 'node:stream'
import { ofPeer } from '../hub/refusals/refusals.ts'
import type { Peer } from '../model/peer.ts'
import { printable } from '../model/ids.ts'
import type { RefusalRule } from '../model/refusal.ts'
import type { Probation } from '../net/admission.ts'
import type { ByteHead } from '../net/byte-head.ts'
import { traced } from '../tracing.ts'
import { openConversation } from './connect.ts'
import { Connection } from './connection.ts'
import type { Host } from './connection.ts'
import type { Conversation, Line } from './conversation.ts'
import type { ConnectPacket } from './packets.ts'
import type { MqttParts } from './parts.ts'
import { claimedIdentity } from './user-name.ts'

/** MQTT 3.1.1 for the hub and for the provisioning service: one head, the user name tells which is meant. */
export class MqttHead implements ByteHead, Host {
  readonly connectSeconds: number
  readonly #parts: MqttParts
  /** Bounded by the listeners' limit on open connections. */
  readonly #connections = new Set<Connection>()
  readonly #timer: NodeJS.Timeout
  #second = 0
  #closing = false
  #allGone: (() => void) | null = null

  /** `connectSeconds`: from the accept to a CONNECT that has been answered. */
  constructor(parts: MqttParts, options: { readonly connectSeconds: number }) {
    this.#parts = parts
    this.connectSeconds = options.connectSeconds
    this.#timer = setInterval(() => this.tick(), 1000).unref()
  }

  get second(): number {
    return this.#second
  }

  accept(stream: Duplex, peer: Peer, probation: Probation): void {
    const connection = new Connection(stream, peer, probation, this)
    if (this.#closing) connection.destroy()
    this.#connections.add(connection)
  }

  /** One second has passed: silent connections are cut. Called by the timer, which is the only one of all connections. */
  tick(): void {
    this.#second += 1
    for (const connection of this.#connections) connection.tick(this.#second)
  }

  /** Stops reading, sends the acknowledgements that are still owed, and closes; after `graceMs` without mercy. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true
    const allGone = new Promise<void>((resolve) => {
      this.#allGone = resolve
    })
    for (const connection of this.#connections) connection.close('shutting-down')
    if (this.#connections.size === 0) this.#allGone?.()
    const deadline = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy()
    }, graceMs)
    await allGone
    clearTimeout(deadline)
    clearInterval(this.#timer)
  }

  open(packet: ConnectPacket, line: Line, peer: Peer): Promise<Conversation> {
    const facts = {
      'holdfast.device.id': printable(claimedIdentity(packet.userName, packet.clientId)),
      'network.protocol.name': peer.protocol,
      'client.address': peer.address,
    }
    return traced('device.connect', facts, async (span) => {
      const conversation = await openConversation({ packet, peer, line, parts: this.#parts, span })
      span.note({ 'holdfast.outcome': 'accepted' })
      return conversation
    })
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection)
    if (this.#connections.size === 0) this.#allGone?.()
  }

  refuse(peer: Peer, identity: string, rule: RefusalRule, message: string): void {
    this.#parts.refusals.record({ ...ofPeer(peer), area: 'connect', hub: null, identity, rule, message })
  }

  unexpected(error: unknown, identity: string): void {
    this.#parts.log.error({ err: error, identity: printable(identity) }, 'an MQTT connection failed unexpectedly')
  }
}
