import type { CloseReason } from '../model/session.ts'
import type { PublishPacket, QoS, SubackCode } from './packets.ts'

/** How a connection ended: by DISCONNECT, by the network or a broken rule, or because the domain closed it. */
export type Ending = 'disconnect' | 'lost' | CloseReason

/** What an authenticated client talks to: its hub, or the provisioning service. */
export interface Conversation {
  /** @throws MqttViolation or HubError, which close the connection. */
  publish(packet: PublishPacket): void
  /** The granted QoS, or failure for a filter that this client may not have. */
  subscribe(filter: string, qos: QoS): SubackCode
  unsubscribe(filter: string): void
  /** Called exactly once. */
  ended(how: Ending): void
}

/** What a conversation may ask of its connection. */
export interface Line {
  /** PUBACKs `packet` in order once `durable` resolves; a rejection closes the connection without it. */
  acknowledgeWhen(packet: PublishPacket, durable: Promise<unknown>): void
  /** PUBACKs at once: the answer, if any, follows as a message. */
  acknowledge(packet: PublishPacket): void
  send(topic: string, payload: Uint8Array, qos: 0 | 1): void
  /** Counts `work` against the connection's bound; a rejection closes it. */
  during(work: Promise<void>): void
  close(reason: CloseReason): void
  /** Lets a connection whose other side is gone end within seconds; `heard` is called once, when the client speaks. */
  probe(heard: () => void): void
}
