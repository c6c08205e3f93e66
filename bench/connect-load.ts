import { once } from 'node:events'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'

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
  | { readonly kind: 'hold' }
  | { readonly kind: 'release' }

export interface LoadResult {
  readonly seconds: number
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
    const done = () => ({ seconds: (performance.now() - started) / 1000, failures })
    if (task.kind === 'release') {
      for (const socket of this.#held.splice(0)) socket.destroy()
      return done()
    }
    const { devices } = this.#settings
    const [count, lanes] = task.kind === 'hold' ? [devices.length, 16] : [task.count, task.concurrency]
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < count) {
        const device = devices[next++ % devices.length]
        if (device === undefined) return
        try {
          const socket = await this.#connect(device, task.kind === 'connect' && task.resume)
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
    socket.once('secureConnect', () => socket.write(connectPacket(id, `${host}/${id}/?api-version=2021-04-12`)))
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

/** MQTT 3.1.1 §3.1, clean session, no password. */
export function connectPacket(clientId: string, userName: string): Buffer {
  const field = (text: string): Buffer => {
    const bytes = Buffer.from(text)
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
  }
  const body = Buffer.concat([field('MQTT'), Buffer.from([4, 0x82, 0, 60]), field(clientId), field(userName)])
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  return Buffer.concat([Buffer.from([0x10, ...length]), body])
}

if (import.meta.main) {
  let load: Load | null = null
  process.on('message', (message: LoadSettings | LoadTask) => {
    if (!('kind' in message)) load = new Load(message)
    else void load?.run(message).then((result) => process.send?.(result))
  })
}
