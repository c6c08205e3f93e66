import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import mqttPacket from 'mqtt-packet'
import type { Packet } from 'mqtt-packet'

/** A client that sends any bytes and reads the server's packets with a foreign parser. */
export class RawClient<Stream extends Duplex = TLSSocket> {
  readonly socket: Stream
  readonly packets: Packet[] = []
  /** Resolves when the connection is over. */
  readonly closed: Promise<void>
  #wake: (() => void) | null = null
  #isClosed = false

  constructor(socket: Stream) {
    this.socket = socket
    const parser = mqttPacket.parser({ protocolVersion: 4 })
    parser.on('packet', (packet) => {
      this.packets.push(packet)
      this.#wake?.()
    })
    socket.on('data', (chunk: Buffer) => parser.parse(chunk))
    socket.on('error', () => {})
    this.closed = new Promise((resolve) =>
      socket.once('close', () => {
        this.#isClosed = true
        this.#wake?.()
        resolve()
      }),
    )
  }

  send(...parts: Buffer[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  /** The next packet of the server; rejects when the connection ends first. */
  async next(): Promise<Packet> {
    while (this.packets.length === 0) {
      if (this.#isClosed) throw new Error('the server closed the connection')
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.packets.shift() as Packet
  }

  async take(count: number): Promise<Packet[]> {
    const packets = []
    while (packets.length < count) packets.push(await this.next())
    return packets
  }
}
