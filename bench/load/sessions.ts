import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import type { BenchDevice } from './holdfast.ts'

/** Holds one live MQTT session for each device, says when all are open, and reports when each one was closed. */
export interface SessionOrder {
  readonly port: number
  readonly ca: string
  readonly devices: readonly BenchDevice[]
}

/** ms since the epoch, with fractions, by device. */
export type SessionReport = readonly number[]

const CONCURRENCY = 64

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

function hello(id: string): Buffer {
  const head = Buffer.from([4, 0x82, 0x04, 0xb0])
  const body = Buffer.concat([text('MQTT'), head, text(id), text(`localhost/${id}/?api-version=2021-04-12`)])
  if (body.length > 0xff) throw new Error('the id is too long for this load')
  const length = body.length < 0x80 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  return Buffer.concat([Buffer.from([0x10, ...length]), body])
}

/**
 * Stamps the end of the stream as the event loop hands it out, before Node closes the socket: that work of 5,000 sockets in
 * one process, which no fleet has to do, would be most of what is measured.
 */
function stampEnd(socket: TLSSocket, stamp: (time: number) => void): void {
  const handle = Reflect.get(socket, '_handle') as { onread: () => void }
  handle.onread = () => stamp(performance.timeOrigin + performance.now())
}

/** Resolves with the session's end once it is open. */
function open({ id, cert, key }: BenchDevice, { port, ca }: SessionOrder): Promise<{ closed: Promise<number> }> {
  return new Promise((resolve, reject) => {
    const closed = Promise.withResolvers<number>()
    const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost', cert, key })
    socket.once('secureConnect', () => socket.write(hello(id)))
    socket.once('data', (answer: Buffer) => {
      if (answer[0] !== 0x20 || answer[3] !== 0) return reject(new Error(`${id} was refused`))
      stampEnd(socket, closed.resolve)
      resolve({ closed: closed.promise })
    })
    socket.once('error', reject)
  })
}

async function hold(order: SessionOrder): Promise<SessionReport> {
  const waiting = [...order.devices]
  const ends: Promise<number>[] = []
  const worker = async (): Promise<void> => {
    for (let device = waiting.pop(); device !== undefined; device = waiting.pop())
      ends.push((await open(device, order)).closed)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  process.send?.('open')
  return Promise.all(ends)
}

process.once('message', (order: SessionOrder) => {
  hold(order).then(
    (report) => process.send?.({ report }, () => process.exit(0)),
    (error: Error) => process.send?.({ error: error.message }, () => process.exit(1)),
  )
})
