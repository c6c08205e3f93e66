import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

type Fields = Readonly<Record<string, unknown>>
type Maker = (fields?: Fields) => object

/** rhea's frame writer, which its typings leave out. */
const frames = createRequire(import.meta.url)('rhea/lib/frames.js') as {
  write_frame(frame: object): Buffer
  amqp_frame(channel: number, performative: object, payload?: Buffer): object
} & Record<'open' | 'begin' | 'attach' | 'flow' | 'transfer' | 'disposition' | 'detach' | 'end' | 'close', Maker>

export type PerformativeName = Exclude<keyof typeof frames, 'write_frame' | 'amqp_frame'>

export const AMQP = Buffer.from('414d515000010000', 'hex')
export const SASL = Buffer.from('414d515003010000', 'hex')

export function frame(name: PerformativeName, fields: Fields = {}, channel = 0, payload?: Buffer): Buffer {
  return frames.write_frame(frames.amqp_frame(channel, frames[name](fields), payload))
}

/** A frame with whatever stands for its body. */
export function rawFrame(body: Buffer, { type = 0, channel = 0, offset = 2 } = {}): Buffer {
  const header = Buffer.from([0, 0, 0, 0, offset, type, channel >> 8, channel & 0xff])
  header.writeUInt32BE(8 + body.length)
  return Buffer.concat([header, body])
}

export const OPEN = frame('open', { container_id: 'test', hostname: 'localhost' })
export const BEGIN = frame('begin', { next_outgoing_id: 0, incoming_window: 1_000, outgoing_window: 1_000 })
export const HELLO = Buffer.concat([AMQP, OPEN, BEGIN])

/** The peer's sending link to `address`. */
export function sendingLink(address: string, handle = 0, name = `s${handle}`): Buffer {
  return frame('attach', {
    name,
    handle,
    role: false,
    source: terminus(0x28, ''),
    target: terminus(0x29, address),
    initial_delivery_count: 0,
  })
}

export function receivingLink(address: string, handle = 1, name = `r${handle}`): Buffer {
  return frame('attach', { name, handle, role: true, source: terminus(0x28, address), target: terminus(0x29, '') })
}

const types = (createRequire(import.meta.url)('rhea') as { types: Record<string, (...values: unknown[]) => unknown> })
  .types

function terminus(code: number, address: string): unknown {
  return types['wrap_described']?.([types['wrap_string']?.(address)], code)
}

/** A plain connection that collects what the server says until it hangs up. */
export class RawPeer {
  readonly socket: Socket
  #received = Buffer.alloc(0)
  /** Resolves to all the server's bytes when the connection is gone. */
  readonly gone: Promise<Buffer>

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
    })
    this.socket.on('error', () => {})
    this.gone = new Promise((resolve) => {
      this.socket.once('close', () => resolve(this.#received))
    })
  }

  async heard(text: string): Promise<void> {
    while (!this.#received.includes(text)) await once(this.socket, 'data')
  }

  heardCount(text: string): number {
    return this.#received.toString('latin1').split(text).length - 1
  }
}
