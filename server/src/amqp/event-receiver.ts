import type { HubError } from '../errors.ts'
import type { Consumers, EventReader, StartPosition } from '../hub/telemetry/consumers.ts'
import type { HubName } from '../model/ids.ts'
import type { StoredEvent } from '../model/message.ts'
import type { Clock } from '../ports/clock.ts'
import { traced } from '../tracing.ts'
import { Encoder } from './encoder.ts'
import { writeEvent } from './event-message.ts'
import type { RuntimeMetric } from './event-message.ts'
import {
  addressOf,
  countTransfer,
  creditLeft,
  directTransfers,
  giveCreditBack,
  hasSentAll,
  nextDeliveryId,
  roomFor,
} from './rhea.ts'
import type { Sender } from './rhea.ts'

/** Taken from the hub at a time; with the wire's own mark this bounds what one slow reader can hold of our memory. */
const BATCH = { events: 512, bytes: 256 * 1024 }

/** How long the log may take for the next events before a peer that drains is told that there are none. */
const DRAIN_MS = 50

export interface EventSource {
  readonly hub: HubName
  readonly group: string
  readonly partition: string
  readonly start: StartPosition
  readonly epoch: number | null
  /** What the reader calls itself. */
  readonly name: string
  /** Whether each event also tells where the partition ends. */
  readonly tracksEnd: boolean
  /** Whether the sender may settle its transfers as it sends them. */
  readonly settled: boolean
}

/** The connection's wire as a reader uses it. */
export interface EventWire {
  /** Too much is waiting to be sent already. */
  readonly congested: boolean
  /** Largest frame that the peer takes. */
  readonly maxFrameBytes: number
  /** Writes whole frames; the bytes are given away. */
  write(frames: Buffer): void
}

/**
 * Sends the events of one partition over one link, as fast as the peer's credit, its session window and the socket
 * allow, and not one event more.
 */
export class EventReceiver {
  readonly #sender: Sender
  readonly #source: EventSource
  readonly #parts: { readonly consumers: Consumers; readonly clock: Clock; readonly wire: EventWire }
  readonly #out = new Encoder(32 * 1024)
  readonly #stop = new AbortController()
  /** Read and not sent yet: at most one batch. */
  #held: readonly StoredEvent[] = []
  #metric: RuntimeMetric | null = null
  #tag = 0
  #drain: NodeJS.Timeout | null = null
  #displaced: HubError | null = null
  #wake: () => void = () => {}

  constructor(sender: Sender, source: EventSource, parts: { consumers: Consumers; clock: Clock; wire: EventWire }) {
    this.#sender = sender
    this.#source = source
    this.#parts = parts
  }

  /** Runs until `stop`; rejects with what ended it otherwise, such as HubError `reader-stolen`. */
  async run(): Promise<void> {
    const { hub, group, partition } = this.#source
    const facts = { 'holdfast.hub': hub, 'holdfast.consumer_group': group, 'holdfast.partition': partition }
    const reader = await traced('reader.attach', facts, () => this.#parts.consumers.open(this.#source))
    // A reader that is short of credit would learn of it with its next event only.
    reader.onEnd((reason) => {
      this.#displaced = reason
      this.#wake()
    })
    try {
      while (!this.#stop.signal.aborted) {
        if (this.#held.length === 0) await this.#read(reader)
        await this.#untilSendable()
        this.#send()
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error
    } finally {
      reader.close()
      this.stop()
    }
  }

  /** Something changed that sending may wait for: credit, the peer's window, or the socket. */
  wake(): void {
    this.#wake()
  }

  /** The peer wants its credit used or back (AMQP 1.0 §2.6.7): it is given back when no event came for a while. */
  drain(): void {
    if (this.#drain !== null) clearTimeout(this.#drain)
    this.#drain = setTimeout(() => {
      this.#drain = null
      if (this.#held.length > 0 && creditLeft(this.#sender) > 0) this.drain()
      else giveCreditBack(this.#sender)
    }, DRAIN_MS)
  }

  stop(): void {
    this.#stop.abort()
    if (this.#drain !== null) clearTimeout(this.#drain)
    this.#wake()
  }

  async #read(reader: EventReader): Promise<void> {
    this.#held = await reader.next(BATCH, this.#stop.signal)
    if (!this.#source.tracksEnd) return
    const bounds = await this.#parts.consumers.partitionInfo(this.#source.hub, this.#source.partition)
    this.#metric = { bounds, retrievedAt: this.#parts.clock.now() }
  }

  async #untilSendable(): Promise<void> {
    // Also yields to the engine, which counts down credit as it writes and not as it is told to send.
    await new Promise((resolve) => setImmediate(resolve))
    while (!this.#stop.signal.aborted && !this.#sendable()) {
      if (this.#displaced !== null) throw this.#displaced
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #sendable(): boolean {
    const { session } = this.#sender
    return this.#sender.is_open() && creditLeft(this.#sender) > 0 && hasSentAll(session) && !this.#parts.wire.congested
  }

  #send(): void {
    if (this.#stop.signal.aborted) return
    const direct = this.#source.settled ? this.#sendDirectly() : 0
    const count = direct === 0 ? this.#sendThroughEngine() : direct
    this.#held = this.#held.slice(count)
    if (this.#drain !== null) this.drain()
  }

  /** Writes frames of our own, which costs a third of what the engine needs; returns how many events left. */
  #sendDirectly(): number {
    const out = this.#out
    const { channel, handle } = addressOf(this.#sender)
    const most = Math.min(this.#held.length, directTransfers(this.#sender))
    let count = 0
    for (const event of this.#held.slice(0, most)) {
      const start = out.beginTransfer(channel, handle, nextDeliveryId(this.#sender))
      writeEvent(out, event, this.#metric)
      if (out.length - start > this.#parts.wire.maxFrameBytes) {
        // The engine knows how to send a message in several frames.
        out.rewind(start)
        break
      }
      out.endFrame(start)
      countTransfer(this.#sender)
      count++
    }
    if (count > 0) this.#parts.wire.write(out.take())
    return count
  }

  #sendThroughEngine(): number {
    const count = Math.min(this.#held.length, creditLeft(this.#sender), roomFor(this.#sender.session))
    for (const event of this.#held.slice(0, count)) {
      writeEvent(this.#out, event, this.#metric)
      this.#sender.send(this.#out.take(), this.#nextTag(), 0)
    }
    return count
  }

  #nextTag(): Buffer {
    const tag = Buffer.allocUnsafe(4)
    tag.writeUInt32BE(this.#tag)
    this.#tag = (this.#tag + 1) >>> 0
    return tag
  }
}
