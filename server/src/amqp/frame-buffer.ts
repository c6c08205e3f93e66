import { AmqpViolation } from './violation.ts'

/** Cuts a byte stream into protocol headers and frames; holds at most one frame and one chunk more. */
export class FrameBuffer {
  #chunks: Buffer[] = []
  #bytes = 0

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
  }

  /** The 8 bytes of a protocol header, or null when they are not all there yet. */
  takeHeader(): Buffer | null {
    return this.#bytes < 8 ? null : this.#take(8)
  }

  /** The next whole frame, or null. Throws as soon as the size of a frame is out of bounds, before its bytes arrive. */
  takeFrame(maxBytes: number): Buffer | null {
    if (this.#bytes < 4) return null
    const size = this.#peekSize()
    if (size < 8 || size > maxBytes)
      throw new AmqpViolation('amqp:connection:framing-error', `A frame must have 8 to ${maxBytes} bytes, not ${size}`)
    return this.#bytes < size ? null : this.#take(size)
  }

  #peekSize(): number {
    const first = this.#chunks[0]
    if (first !== undefined && first.length >= 4) return first.readUInt32BE(0)
    this.#merge()
    return this.#chunks[0]?.readUInt32BE(0) ?? 0
  }

  #take(size: number): Buffer {
    const first = this.#chunks[0]
    if (first === undefined || first.length < size) this.#merge()
    const whole = this.#chunks[0] ?? Buffer.alloc(0)
    const rest = whole.subarray(size)
    if (rest.length === 0) this.#chunks.shift()
    else this.#chunks[0] = rest
    this.#bytes -= size
    return whole.subarray(0, size)
  }

  /** Called when a whole item is there, or for the few bytes of a size: never more often than once per item. */
  #merge(): void {
    this.#chunks = [Buffer.concat(this.#chunks, this.#bytes)]
  }
}
