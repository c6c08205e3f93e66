/** MQTT 3.1.1 control packets as a client may send them, parsed and within every MUST that needs no state. */
export type ClientPacket =
  | ConnectPacket
  | UnsupportedConnect
  | PublishPacket
  | { readonly type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'; readonly packetId: number }
  | SubscribePacket
  | { readonly type: 'unsubscribe'; readonly packetId: number; readonly filters: readonly string[] }
  | { readonly type: 'pingreq' }
  | { readonly type: 'disconnect' }

export type QoS = 0 | 1 | 2

export interface ConnectPacket {
  readonly type: 'connect'
  readonly clientId: string
  readonly cleanSession: boolean
  /** Seconds; 0 is off. */
  readonly keepAlive: number
  readonly userName: string | null
  readonly password: Buffer | null
  readonly will: Will | null
}

export interface Will {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
}

/** A CONNECT of another protocol version, which gets CONNACK 1; nothing behind the level is read. */
export interface UnsupportedConnect {
  readonly type: 'unsupported-connect'
  readonly level: number
}

export interface PublishPacket {
  readonly type: 'publish'
  /** The same string object as before while a client repeats its topic. */
  readonly topic: string
  /** A view on the received chunk: whoever keeps it keeps the chunk. */
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** 0 for QoS 0. */
  readonly packetId: number
}

export interface SubscribePacket {
  readonly type: 'subscribe'
  readonly packetId: number
  readonly subscriptions: readonly { readonly filter: string; readonly qos: QoS }[]
}

/** CONNACK return codes (MQTT 3.1.1 §3.2.2.3). */
export const Connack = {
  accepted: 0,
  unacceptableVersion: 1,
  identifierRejected: 2,
  unavailable: 3,
  badCredentials: 4,
  notAuthorized: 5,
} as const
export type ConnackCode = (typeof Connack)[keyof typeof Connack]

/** SUBACK return codes: the granted QoS, or failure. */
export type SubackCode = 0 | 1 | 0x80
