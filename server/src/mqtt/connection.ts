import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { HubError } from '../errors.ts'
import { RefusedError } from '../hub/refusals/refusals.ts'
import type { Peer } from '../model/peer.ts'
import type { RefusalRule } from '../model/refusal.ts'
import type { CloseReason } from '../model/session.ts'
import type { Probation } from '../net/admission.ts'
import { cut } from '../net/cut.ts'
import { AckQueue } from './ack-queue.ts'
import { connackCodeOf } from './connack-code.ts'
import type { Conversation, Ending, Line } from './conversation.ts'
import { Decoder, PacketTooLarge } from './decoder.ts'
import { connack, PINGRESP, publish, suback, unsuback } from './encode.ts'
import { Outbox } from './outbox.ts'
import { Connack } from './packets.ts'
import type { ClientPacket, ConnackCode, ConnectPacket, PublishPacket, SubscribePacket } from './packets.ts'
import { claimedIdentity } from './user-name.ts'
import { MqttViolation } from './violation.ts'

export const CONNECTION_LIMITS = {
  /** Body, properties and topic of the largest message that the hub takes, and some room. */
  packetBytes: 300 * 1024,
  /** CONNECT comes from a stranger, so it gets less. */
  connectBytes: 64 * 1024,
  pendingMessages: 1_000,
  pendingBytes: 1024 * 1024,
  /** Requests that are being answered. */
  requests: 8,
  /** Seconds for the last bytes and the peer's own close. */
  lingerSeconds: 5,
  /** Seconds: the most that a client may be silent, also when it asks for more or for none at all. */
  silenceSeconds: 1767,
  /** Seconds: what comes sooner after a probe may have been under way when the client was lost. */
  probeSeconds: 2,
} as const

/** RFC 9293 §3.8.4: asks the peer's TCP each second once the line is idle, eight times. */
const PROBING = { enable: true, initialDelay: 1_000, interval: 1_000, count: 8 } as const

/** What a connection needs from the head that accepted it. */
export interface Host {
  /** Seconds since the start, counted by the head's one timer. */
  readonly second: number
  readonly connectSeconds: number
  /** Judges a CONNECT; rejects with HubError. */
  open(packet: ConnectPacket, line: Line, peer: Peer): Promise<Conversation>
  /** The connection is gone. */
  gone(connection: Connection): void
  refuse(peer: Peer, identity: string, rule: RefusalRule, message: string): void
  unexpected(error: unknown, identity: string): void
}

type State = 'awaiting-connect' | 'connecting' | 'open' | 'draining' | 'finishing' | 'closed'

/**
 * One client connection, from the first byte to the last: bytes to packets, packets to the conversation, answers back
 * in order. It holds no timer; the head's `tick` tells the time. Reading stops while acknowledgements, answers or
 * unsent bytes pile up, so that a client is slowed down by TCP instead of filling our memory.
 */
export class Connection implements Line {
  readonly #stream: Duplex
  readonly #peer: Peer
  readonly #host: Host
  readonly #decoder = new Decoder(CONNECTION_LIMITS.connectBytes)
  readonly #outbox: Outbox
  readonly #acks: AckQueue
  #probation: Probation | null
  #state: State = 'awaiting-connect'
  #conversation: Conversation | null = null
  #identity = ''
  #requests = 0
  #packetId = 0
  #paused = false
  #probe: { readonly since: number; readonly heard: () => void } | null = null
  #silenceLimit: number
  /** Second of the last packet, or of the start of the present closing state. */
  #since: number

  constructor(stream: Duplex, peer: Peer, probation: Probation, host: Host) {
    this.#stream = stream
    this.#peer = peer
    this.#probation = probation
    this.#host = host
    this.#since = host.second
    this.#silenceLimit = host.connectSeconds
    this.#outbox = new Outbox(stream)
    this.#acks = new AckQueue(
      { messages: CONNECTION_LIMITS.pendingMessages, bytes: CONNECTION_LIMITS.pendingBytes },
      { acknowledge: (packetId) => this.#acknowledged(packetId), fail: (error) => this.#fail(error) },
    )
    stream.on('data', (chunk: Buffer) => this.#received(chunk))
    stream.on('drain', () => this.#readOn())
    // The reason of a broken connection says nothing that its end does not.
    stream.on('error', () => stream.destroy())
    stream.on('close', () => this.#streamClosed())
  }

  acknowledgeWhen(packet: PublishPacket, durable: Promise<unknown>): void {
    this.#acks.add(packet.packetId, packet.payload.length + packet.topic.length, durable)
  }

  acknowledge(packet: PublishPacket): void {
    if (packet.qos === 1) this.#outbox.puback(packet.packetId)
  }

  send(topic: string, payload: Uint8Array, qos: 0 | 1): void {
    if (this.#state !== 'open') return
    if (qos === 1) this.#packetId = (this.#packetId % 0xffff) + 1
    this.#outbox.send(publish({ topic, payload, qos, packetId: this.#packetId }))
  }

  during(work: Promise<void>): void {
    this.#requests += 1
    work.then(
      () => this.#answered(),
      (error: unknown) => this.#fail(error),
    )
  }

  /** Ends the conversation. Only a shutdown waits for the acknowledgements that are still owed. */
  close(reason: CloseReason): void {
    this.#end(reason)
    if (reason === 'shutting-down') this.#drain()
    else if (reason === 'revoked') this.#cut()
    else this.#finish()
  }

  probe(heard: () => void): void {
    if (this.#probe !== null) return
    this.#probe = { since: this.#host.second, heard }
    // Of a WebSocket net/ has the socket probed all along.
    if (this.#stream instanceof Socket) this.#stream.setKeepAlive(PROBING)
  }

  destroy(): void {
    this.#stream.destroy()
  }

  /** Called by the head once a second. */
  tick(second: number): void {
    const silence = second - this.#since
    switch (this.#state) {
      case 'awaiting-connect':
      case 'connecting':
        if (silence <= this.#host.connectSeconds) return
        this.#refuse('connect-timeout', `No complete CONNECT came within ${this.#host.connectSeconds} seconds.`)
        return this.destroy()
      case 'open':
        // While we do not read we cannot tell whether the client is silent, unless it is the one who does not read.
        if (this.#paused && !this.#stream.writableNeedDrain) this.#since = second
        // [MQTT-3.1.2-24]: as if the network had failed.
        else if (silence > this.#silenceLimit) this.destroy()
        return
      case 'draining':
      case 'finishing':
        if (silence > CONNECTION_LIMITS.lingerSeconds) this.destroy()
        return
      case 'closed':
    }
  }

  #received(chunk: Buffer): void {
    if (this.#state === 'finishing' || this.#state === 'closed') return
    this.#decoder.write(chunk)
    this.#readPackets()
  }

  #readPackets(): void {
    try {
      while (this.#mayRead()) {
        const packet = this.#decoder.next()
        if (packet === null) break
        this.#since = this.#host.second
        this.#answerProbe()
        this.#handle(packet)
      }
    } catch (error) {
      return this.#fail(error)
    }
    if (!this.#mayRead() || this.#stream.writableNeedDrain) this.#pause()
  }

  #answerProbe(): void {
    const probe = this.#probe
    if (probe === null || this.#host.second - probe.since <= CONNECTION_LIMITS.probeSeconds) return
    this.#probe = null
    probe.heard()
  }

  #mayRead(): boolean {
    return (
      (this.#state === 'open' || this.#state === 'awaiting-connect') &&
      !this.#acks.isFull &&
      this.#requests < CONNECTION_LIMITS.requests
    )
  }

  #pause(): void {
    if (this.#paused || this.#state === 'finishing' || this.#state === 'closed') return
    this.#paused = true
    this.#stream.pause()
  }

  #readOn(): void {
    if (!this.#paused || !this.#mayRead() || !this.#acks.hasRoom || this.#stream.writableNeedDrain) return
    this.#paused = false
    this.#since = this.#host.second
    this.#readPackets()
    if (!this.#paused) this.#stream.resume()
  }

  #handle(packet: ClientPacket): void {
    const conversation = this.#conversation
    if (conversation === null) return this.#connect(packet)
    switch (packet.type) {
      case 'publish':
        if (packet.qos === 2) throw new MqttViolation('MQTT-3.1.1 §4.3.3', 'QoS 2 is not offered by a hub')
        return conversation.publish(packet)
      case 'puback':
        return
      case 'subscribe':
        return this.#subscribe(packet, conversation)
      case 'unsubscribe':
        for (const filter of packet.filters) conversation.unsubscribe(filter)
        return this.#outbox.send(unsuback(packet.packetId))
      case 'pingreq':
        return this.#outbox.send(PINGRESP)
      case 'disconnect':
        this.#end('disconnect')
        return this.#drain()
      case 'connect':
      case 'unsupported-connect':
        throw new MqttViolation('MQTT-3.1.0-2', 'A second CONNECT came on the connection')
      case 'pubrec':
      case 'pubrel':
      case 'pubcomp':
        throw new MqttViolation(
          'MQTT-3.1.1 §4.3.3',
          `${packet.type.toUpperCase()} belongs to QoS 2, which a hub does not offer`,
        )
    }
  }

  #subscribe(packet: SubscribePacket, conversation: Conversation): void {
    const codes = packet.subscriptions.map(({ filter, qos }) => conversation.subscribe(filter, qos))
    this.#outbox.send(suback(packet.packetId, codes))
  }

  #connect(packet: ClientPacket): void {
    if (packet.type === 'unsupported-connect') {
      this.#refuse(
        'protocol-violation',
        `The client speaks MQTT protocol level ${packet.level}; level 4 (3.1.1) is spoken here.`,
      )
      return this.#answerAndFinish(Connack.unacceptableVersion)
    }
    if (packet.type !== 'connect') throw new MqttViolation('MQTT-3.1.0-1', 'The first packet is not CONNECT')
    this.#state = 'connecting'
    this.#identity = claimedIdentity(packet.userName, packet.clientId)
    this.#host.open(packet, this, this.#peer).then(
      (conversation) => this.#accepted(packet, conversation),
      (error: unknown) => this.#rejected(error),
    )
  }

  #accepted(packet: ConnectPacket, conversation: Conversation): void {
    // Nothing of a client outlives its connection, so there is never a session to resume [MQTT-3.2.2-2].
    if (this.#state !== 'connecting') return conversation.ended('disconnect')
    this.#state = 'open'
    this.#conversation = conversation
    this.#silenceLimit = silenceLimitOf(packet.keepAlive)
    this.#decoder.maxPacketBytes = CONNECTION_LIMITS.packetBytes
    this.#probation?.passed()
    this.#probation = null
    this.#outbox.send(connack(Connack.accepted))
    this.#readOn()
  }

  #rejected(error: unknown): void {
    if (this.#state !== 'connecting') return
    if (!(error instanceof HubError)) this.#host.unexpected(error, this.#identity)
    this.#answerAndFinish(error instanceof HubError ? connackCodeOf(error) : Connack.unavailable)
  }

  #answerAndFinish(code: ConnackCode): void {
    this.#outbox.send(connack(code))
    this.#finish()
  }

  #acknowledged(packetId: number): void {
    if (packetId !== 0) this.#outbox.puback(packetId)
    if (this.#state === 'draining' && this.#acks.isEmpty) this.#finish()
    else if (this.#paused) this.#readOn()
  }

  #answered(): void {
    this.#requests -= 1
    this.#readOn()
  }

  /** MQTT 3.1.1 has no error after CONNACK but the end of the connection. */
  #fail(error: unknown): void {
    if (this.#state === 'finishing' || this.#state === 'closed') return
    if (error instanceof MqttViolation) {
      this.#refuse(error instanceof PacketTooLarge ? 'request-too-large' : 'protocol-violation', error.message)
    } else if (error instanceof HubError) {
      // What a door refused was recorded there.
      if (!(error instanceof RefusedError)) this.#refuse(ruleOf(error), error.message)
    } else this.#host.unexpected(error, this.#identity)
    this.#end('lost')
    this.#finish()
  }

  #refuse(rule: RefusalRule, message: string): void {
    this.#host.refuse(this.#peer, this.#identity, rule, message)
  }

  #end(how: Ending): void {
    const conversation = this.#conversation
    this.#conversation = null
    if (conversation !== null) conversation.ended(how)
  }

  #drain(): void {
    if (this.#acks.isEmpty || this.#state !== 'open') return this.#finish()
    this.#state = 'draining'
    this.#since = this.#host.second
  }

  /** Sends what waits and our end of the stream, then discards what still comes, so that the last bytes arrive. */
  #finish(): void {
    if (this.#state === 'finishing' || this.#state === 'closed') return
    this.#state = 'finishing'
    this.#since = this.#host.second
    this.#outbox.flush()
    this.#stream.end()
    this.#stream.resume()
  }

  /** No farewell: it costs more than all the rest, and of thousands that are cut at once the last must not wait for it. */
  #cut(): void {
    this.#state = 'finishing'
    this.#since = this.#host.second
    cut(this.#stream)
  }

  #streamClosed(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#end('lost')
    this.#host.gone(this)
  }
}

/** Half as long again as the keep-alive [MQTT-3.1.2-24]; 0 switches the client's promise off, not our patience. */
function silenceLimitOf(keepAlive: number): number {
  const { silenceSeconds } = CONNECTION_LIMITS
  return keepAlive === 0 ? silenceSeconds : Math.min(Math.ceil(keepAlive * 1.5), silenceSeconds)
}

function ruleOf(error: HubError): RefusalRule {
  switch (error.code) {
    case 'message-too-large':
      return 'request-too-large'
    case 'throttled':
    case 'storage-full':
      return 'throttled'
    default:
      return 'request-malformed'
  }
}
