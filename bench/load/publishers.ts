import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'

/** What a process of publishers is told to do. */
export interface PublishOrder {
  readonly host: string
  readonly port: number
  /** PEM. */
  readonly ca: string
  readonly devices: readonly {
    readonly id: string
    readonly cert?: string
    readonly key?: string
    readonly userName?: string
    readonly topic: string
  }[]
  /** Messages under way on each connection. */
  readonly window: number
  readonly payloadBytes: number
  readonly seconds: number
}

export interface PublishReport {
  readonly acknowledged: number
  readonly seconds: number
  /** ms from the write to the PUBACK, 99th percentile. */
  readonly p99: number
  /** Processor time of this process, seconds. */
  readonly cpu: number
}

const CONNACK = 0x20
const PUBACK = 0x40

/** One MQTT 3.1.1 connection reduced to what a load needs: CONNECT, PUBLISH at QoS 1, PUBACK. */
class Publisher {
  readonly ready: Promise<void>
  readonly latencies: number[] = []
  acknowledged = 0
  readonly #socket: TLSSocket
  readonly #packet: Buffer
  readonly #packetIdAt: number
  readonly #sent = new Map<number, number>()
  #packetId = 0
  #running = false

  constructor(order: PublishOrder, device: PublishOrder['devices'][number]) {
    const { packet, packetIdAt } = publishPacket(device.topic, order.payloadBytes)
    this.#packet = packet
    this.#packetIdAt = packetIdAt
    this.#socket = connect({
      host: order.host,
      port: order.port,
      ca: order.ca,
      servername: 'localhost',
      ...(device.cert && device.key ? { cert: device.cert, key: device.key } : {}),
    })
    this.#socket.setNoDelay(true)
    this.ready = new Promise((resolve, reject) => {
      this.#socket.once('secureConnect', () => this.#socket.write(connectPacket(device.id, device.userName)))
      this.#socket.once('error', reject)
      this.#socket.once('close', () => reject(new Error(`connection of ${device.id} was closed`)))
      let rest: Buffer = Buffer.alloc(0)
      this.#socket.on('data', (chunk: Buffer) => {
        let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
        // CONNACK and PUBACK are four bytes each; nothing else is expected.
        while (data.length >= 4) {
          if (data[0] === CONNACK) {
            if (data[3] === 0) resolve()
            else reject(new Error(`CONNACK ${data[3]}`))
          } else if (data[0] === PUBACK) this.#acknowledge(data.readUInt16BE(2))
          data = data.subarray(4)
        }
        rest = data
      })
    })
  }

  start(window: number): void {
    this.#running = true
    this.#socket.cork()
    for (let index = 0; index < window; index++) this.#send()
    this.#socket.uncork()
  }

  stop(): void {
    this.#running = false
    this.#socket.destroy()
  }

  #acknowledge(packetId: number): void {
    const sent = this.#sent.get(packetId)
    if (sent === undefined) return
    this.#sent.delete(packetId)
    this.latencies.push(performance.now() - sent)
    this.acknowledged += 1
    if (this.#running) this.#send()
  }

  #send(): void {
    this.#packetId = (this.#packetId % 65_535) + 1
    const packet = Buffer.from(this.#packet)
    packet.writeUInt16BE(this.#packetId, this.#packetIdAt)
    this.#sent.set(this.#packetId, performance.now())
    this.#socket.write(packet)
  }
}

function connectPacket(clientId: string, userName: string | undefined): Buffer {
  const flags = 0x02 | (userName === undefined ? 0 : 0x80)
  const body = Buffer.concat([
    text('MQTT'),
    Buffer.from([4, flags, 0, 240]),
    text(clientId),
    ...(userName === undefined ? [] : [text(userName)]),
  ])
  return Buffer.concat([Buffer.from([0x10]), remainingLength(body.length), body])
}

function publishPacket(topic: string, payloadBytes: number): { packet: Buffer; packetIdAt: number } {
  const name = text(topic)
  const head = Buffer.concat([Buffer.from([0x32]), remainingLength(name.length + 2 + payloadBytes), name])
  return { packet: Buffer.concat([head, Buffer.alloc(2), Buffer.alloc(payloadBytes, 0x61)]), packetIdAt: head.length }
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function remainingLength(length: number): Buffer {
  const bytes: number[] = []
  let left = length
  do {
    const digit = left % 128
    left = Math.floor(left / 128)
    bytes.push(left > 0 ? digit | 0x80 : digit)
  } while (left > 0)
  return Buffer.from(bytes)
}

async function work(order: PublishOrder): Promise<PublishReport> {
  const publishers: Publisher[] = []
  for (const device of order.devices) {
    const publisher = new Publisher(order, device)
    publishers.push(publisher)
    await publisher.ready
  }
  const cpu = process.cpuUsage()
  const started = performance.now()
  for (const publisher of publishers) publisher.start(order.window)
  await new Promise((resolve) => setTimeout(resolve, order.seconds * 1000))
  const seconds = (performance.now() - started) / 1000
  const acknowledged = publishers.reduce((sum, publisher) => sum + publisher.acknowledged, 0)
  const { user, system } = process.cpuUsage(cpu)
  for (const publisher of publishers) publisher.stop()
  const latencies = publishers.flatMap((publisher) => publisher.latencies).sort((a, b) => a - b)
  return {
    acknowledged,
    seconds,
    p99: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN,
    cpu: (user + system) / 1e6,
  }
}

process.once('message', (order: PublishOrder) => {
  work(order).then(
    (report) => process.send?.({ report }, () => process.exit(0)),
    (error: Error) => process.send?.({ error: error.message }, () => process.exit(1)),
  )
})
