import type { Duplex } from 'node:stream'
import type { EngineSocket } from './rhea.ts'

/** Bytes waiting to be sent above which neither events are sent nor requests read, until the peer has taken them. */
const HIGH_WATER = 256 * 1024
/** What is gathered into one write: a few full TLS records (RFC 8446 §5.1). */
const GATHER_BYTES = 64 * 1024

/**
 * The one stream of a connection as the engine sees it. Frames that the engine writes within one turn of the event loop
 * go out in one write (one TLS record instead of one for each frame), and a peer that does not read is not read from.
 */
export class Wire implements EngineSocket {
  readonly #stream: Duplex
  readonly #name: string
  readonly #listeners = new Map<string, (argument?: never) => void>()
  #gathered: Buffer[] = []
  #gatheredBytes = 0
  #ended = false
  /** Largest frame that the peer takes; until it has said so, the smallest that it must (AMQP 1.0 §2.7.1). */
  maxFrameBytes = 512
  /** Called each time a congested stream has room again. */
  onDrain: () => void = () => {}

  constructor(stream: Duplex, name: string) {
    this.#stream = stream
    this.#name = name
    stream.on('drain', () => {
      if (stream.isPaused()) stream.resume()
      this.onDrain()
    })
  }

  get congested(): boolean {
    return this.#gatheredBytes + this.#stream.writableLength > HIGH_WATER
  }

  /** Hands bytes of the peer to the engine: a protocol header or one frame that was checked. */
  receive(bytes: Buffer): void {
    const listener = this.#listeners.get('data') as ((bytes: Buffer) => void) | undefined
    listener?.(bytes)
  }

  /** Tells the engine that there is nobody there any more, so that it drops its timers. */
  disconnected(): void {
    this.#listeners.get('end')?.()
  }

  on(event: 'data' | 'error' | 'end', listener: (argument?: never) => void): void {
    this.#listeners.set(event, listener)
  }

  removeAllListeners(event: string): void {
    this.#listeners.delete(event)
  }

  get_id_string(): string {
    return this.#name
  }

  write(bytes: Buffer): void {
    if (this.#ended) return
    if (this.#gathered.length === 0) process.nextTick(() => this.#flush())
    this.#gathered.push(bytes)
    this.#gatheredBytes += bytes.length
    if (this.#gatheredBytes >= GATHER_BYTES) this.#flush()
  }

  end(): void {
    this.#flush()
    this.#ended = true
    if (!this.#stream.writableEnded && !this.#stream.destroyed) this.#stream.end()
  }

  destroy(): void {
    this.#ended = true
    this.#stream.destroy()
  }

  #flush(): void {
    if (this.#gathered.length === 0) return
    const bytes = this.#gathered.length === 1 ? this.#gathered[0] : Buffer.concat(this.#gathered, this.#gatheredBytes)
    this.#gathered = []
    this.#gatheredBytes = 0
    if (this.#stream.writable) this.#stream.write(bytes)
    if (this.congested) this.#stream.pause()
  }
}
