import type { Duplex } from 'node:stream'
import { pubacks } from './encode.ts'

/**
 * Packets on their way out of one connection. What is queued within one turn of the event loop leaves in one write,
 * since each write costs a TLS record and a system call; acknowledgements of one commit arrive together.
 */
export class Outbox {
  readonly #stream: Duplex
  #acks: number[] | null = null
  #packets: Buffer[] | null = null
  #scheduled = false

  constructor(stream: Duplex) {
    this.#stream = stream
  }

  puback(packetId: number): void {
    if (this.#acks === null) this.#acks = [packetId]
    else this.#acks.push(packetId)
    this.#schedule()
  }

  send(packet: Buffer): void {
    this.#sealAcks()
    if (this.#packets === null) this.#packets = [packet]
    else this.#packets.push(packet)
    this.#schedule()
  }

  /** Writes what waits, at once. */
  flush(): void {
    this.#scheduled = false
    this.#sealAcks()
    const packets = this.#packets
    this.#packets = null
    if (packets === null || !this.#stream.writable) return
    this.#stream.write(packets.length === 1 ? packets[0] : Buffer.concat(packets))
  }

  #sealAcks(): void {
    if (this.#acks === null) return
    const sealed = pubacks(this.#acks)
    this.#acks = null
    if (this.#packets === null) this.#packets = [sealed]
    else this.#packets.push(sealed)
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(flushOutbox, this)
  }
}

function flushOutbox(outbox: Outbox): void {
  outbox.flush()
}
