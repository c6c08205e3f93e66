import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as tlsConnect } from 'node:tls'
import type { Packet } from 'mqtt-packet'
import { HUB_HOST } from '../e2e/whole-server.ts'
import type { TestIdentity } from '../http/certificates.ts'
import { connect, publish } from '../mqtt/packet-bytes.ts'
import { RawClient } from '../mqtt/raw-client.ts'

/** Messages that may be unacknowledged at any time. */
const WINDOW = 50

/**
 * A device that sends numbered messages at QoS 1, many at a time, and remembers which were acknowledged. When it comes
 * back after a lost connection it sends again what was not, in order and marked as such, as MQTT-3.1.1 §4.4 demands.
 */
export class PipelinedDevice {
  readonly id: string
  readonly #identity: TestIdentity
  readonly #bytes: number
  #client: RawClient | null = null
  #next = 0
  #acknowledged = 0
  /** How often a serial was sent more than once. */
  readonly #resent = new Map<number, number>()

  /** Messages are filled up to `bytes`. */
  constructor(id: string, identity: TestIdentity, bytes = 0) {
    this.id = id
    this.#identity = identity
    this.#bytes = bytes
  }

  get acknowledgedCount(): number {
    return this.#acknowledged
  }

  async connect(port: number, ca: string): Promise<void> {
    const { cert, key } = this.#identity
    const socket = tlsConnect({ host: '127.0.0.1', port, servername: HUB_HOST, ca, cert, key })
    await once(socket, 'secureConnect')
    this.#client = new RawClient(socket)
    const userName = `${HUB_HOST}/${this.id}/?api-version=2021-04-12`
    this.#client.send(connect({ clientId: this.id, userName, clean: false, keepAlive: 0 }))
    const answer = await this.#client.next()
    assert.ok(answer.cmd === 'connack' && answer.returnCode === 0, this.id)
  }

  /** Sends until the connection is lost; resolves then. */
  async flood(onAcknowledged: () => void, isEnough: () => boolean = () => false): Promise<void> {
    const client = this.#client
    if (client === null) throw new Error('connect first')
    for (let serial = this.#acknowledged; serial < this.#next; serial++) {
      this.#resent.set(serial, (this.#resent.get(serial) ?? 0) + 1)
      this.#send(client, serial, true)
    }
    while (this.#next < this.#acknowledged + WINDOW) this.#send(client, this.#next++, false)
    for (;;) {
      const ack: Packet | null = await client.next().catch(() => null)
      if (ack === null) return
      assert.ok(ack.cmd === 'puback')
      // [MQTT-4.6.0-2]: acknowledged in the order in which they were sent.
      assert.equal(ack.messageId, packetIdOf(this.#acknowledged))
      this.#acknowledged += 1
      onAcknowledged()
      if (!isEnough()) this.#send(client, this.#next++, false)
      else if (this.#acknowledged === this.#next) return
    }
  }

  close(): void {
    this.#client?.socket.destroy()
  }

  /** Fails unless `serials`, as stored, hold every acknowledged message, in order, and no more often than sent. */
  requireKept(serials: readonly number[]): void {
    const seen = new Map<number, number>()
    let highest = -1
    for (const serial of serials) {
      const times = (seen.get(serial) ?? 0) + 1
      seen.set(serial, times)
      assert.ok(times <= 1 + (this.#resent.get(serial) ?? 0), `${this.id}: ${serial} is there ${times} times`)
      // What comes for the first time continues where the stream stood; what comes again was sent again.
      if (times === 1) assert.equal(serial, highest + 1, `${this.id}: ${serial} came after ${highest}`)
      highest = Math.max(highest, serial)
    }
    assert.ok(highest + 1 >= this.#acknowledged, `${this.id}: ${this.#acknowledged} acknowledged, ${highest + 1} kept`)
  }

  #send(client: RawClient, serial: number, isAgain: boolean): void {
    const topic = `devices/${this.id}/messages/events/`
    client.send(
      publish(topic, String(serial).padEnd(this.#bytes), { qos: 1, packetId: packetIdOf(serial), dup: isAgain }),
    )
  }
}

/** Never 0 [MQTT-2.3.1-1], and never reused while one is on its way. */
function packetIdOf(serial: number): number {
  return (serial % 65_535) + 1
}
