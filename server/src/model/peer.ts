/** What the transport knows of the other side, gathered once after the handshake and never trusted by itself. */
export interface Peer {
  readonly address: string
  readonly port: number
  readonly protocol: 'mqtt' | 'mqtt-ws' | 'amqp' | 'amqp-ws' | 'https' | 'amqp-plain'
  /** Absent only on the plain development port. */
  readonly tls: TlsFacts | null
  /** DER of the certificates as the client sent them, leaf first, at most 10 and 16 kB; empty when none was sent. */
  readonly chain: readonly Uint8Array[]
}

export interface TlsFacts {
  readonly version: string
  readonly cipher: string
  /** Key-exchange group, e.g. X25519MLKEM768, when known. */
  readonly group: string | null
  readonly serverName: string | null
  readonly resumed: boolean
}
