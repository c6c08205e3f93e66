import { once } from 'node:events'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { connect as connectPacket } from '../mqtt/packet-bytes.ts'

/** What the load generator is told by its parent, once. */
export interface LoadSettings {
  readonly port: number
  readonly ca: string
  readonly host: string
  readonly devices: readonly { readonly id: string; readonly cert: string; readonly key: string }[]
}

/** One task at a time. */
export type LoadTask =
  | { readonly kind: 'connect'; readonly count: number; readonly concurrency: number; readonly resume: boolean }
  /** Connects every device, this many at a time, and keeps them. */
  | { readonly kind: 'hold'; readonly concurrency: number }
  | { readonly kind: 'release' }

export interface LoadResult {
  readonly seconds: number
  /** Seconds from the start of the task to each CONNACK. */
  readonly admitted: readonly number[]
  readonly failures: number
}

const CONNACK_BYTES = 4
const DISCONNECT = Buffer.from([0xe0, 0x00])

/** Connects as devices do: TLS with a certificate, CONNECT, CONNACK. Runs in a process of its own. */
class Load {
  readonly #settings: LoadSettings
  readonly #sessions = new Map<string, Buffer>()
  readonly #held: TLSSocket[] = []

  constructor(settings: LoadSettings) {
    this.#settings = settings
  }

  async run(task: LoadTask): Promise<LoadResult> {
    const started = performance.now()
    let failures = 0
    const admitted: number[] = []
    const elapsed = () => (performance.now() - started) / 1000
    const done = () => ({ seconds: elapsed(), failures, admitted })
    if (task.kind === 'release') {
      for (const socket of this.#held.splice(0)) socket.destroy()
      return done()
    }
    const { devices } = this.#settings
    const [count, lanes] = task.kind === 'hold' ? [devices.length, task.concurrency] : [task.count, task.concurrency]
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < count) {
        const device = devices[next++ % devices.length]
        if (device === undefined) return
        try {
          const socket = await this.#connect(device, task.kind === 'connect' && task.resume)
          admitted.push(elapsed())
          if (task.kind === 'hold') this.#held.push(socket)
          else socket.end(DISCONNECT)
        } catch {
          failures += 1
        }
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
    return done()
  }

  async #connect({ id, cert, key }: LoadSettings['devices'][number], resume: boolean): Promise<TLSSocket> {
    const { port, ca, host } = this.#settings
    const session = resume ? this.#sessions.get(id) : undefined
    const socket = connect({ port, host: '127.0.0.1', servername: host, ca, cert, key, session })
    if (resume && session === undefined) socket.on('session', (ticket) => this.#sessions.set(id, ticket))
    socket.once('secureConnect', () =>
      socket.write(connectPacket({ clientId: id, userName: `${host}/${id}/?api-version=2021-04-12` })),
    )
    const [answer] = (await Promise.race([
      once(socket, 'data'),
      once(socket, 'close').then(() => Promise.reject(new Error('closed'))),
    ])) as [Buffer]
    if (answer.length < CONNACK_BYTES || answer[3] !== 0) throw new Error('refused')
    if (session !== undefined && !socket.isSessionReused()) throw new Error('not resumed')
    socket.on('error', () => socket.destroy())
    return socket
  }
}

if (import.meta.main) {
  let load: Load | null = null
  process.on('message', (message: LoadSettings | LoadTask) => {
    if (!('kind' in message)) load = new Load(message)
    else void load?.run(message).then((result) => process.send?.(result))
  })
}
