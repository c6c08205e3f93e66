import { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'

/** RFC 6455 §7.4.1: this endpoint takes binary frames only. */
const UNSUPPORTED_DATA = 1003

/**
 * A WebSocket as the byte stream it carries: frame borders mean nothing. Reading stops at the stream's high-water mark
 * (the peer then feels TCP's own back-pressure), and a write completes when the frame has gone to the socket.
 */
export class WebSocketStream extends Duplex {
  readonly #socket: WebSocket

  constructor(socket: WebSocket) {
    super({ readableHighWaterMark: 64 * 1024, allowHalfOpen: false })
    this.#socket = socket
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (!isBinary) socket.close(UNSUPPORTED_DATA, 'binary frames only')
      else if (data.length > 0 && !this.push(data)) socket.pause()
    })
    socket.once('error', (error) => this.destroy(error))
    // What came before the close is still read; the stream destroys itself behind it.
    socket.once('close', () => this.push(null))
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.send(chunk, { binary: true }, done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#socket.send(Buffer.concat(chunks.map(({ chunk }) => chunk)), { binary: true }, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.close()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.terminate()
    done(error)
  }
}
