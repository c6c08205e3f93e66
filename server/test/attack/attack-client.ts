import { once } from 'node:events'
import { connect as tlsConnect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { connect } from '../mqtt/packet-bytes.ts'

export interface Attempt {
  readonly port: number
  /** Of the hub, in the user name and as server name. */
  readonly host: string
  readonly deviceId: string
  readonly tls?: ConnectionOptions
}

export interface Outcome {
  /** MQTT return code; null when the connection ended without one. */
  readonly code: number | null
  readonly resumed: boolean
  /** To resume with; null when none came. */
  readonly session: Buffer | null
  readonly socket: TLSSocket
}

/** One TLS handshake and one CONNECT, and what came of it. The socket stays open when it was let in. */
export async function attempt({ port, host, deviceId, tls }: Attempt): Promise<Outcome> {
  const socket = tlsConnect({ port, host: '127.0.0.1', servername: host, ...tls })
  let session: Buffer | null = null
  socket.on('session', (ticket) => (session = ticket))
  socket.on('error', () => socket.destroy())
  const ended = once(socket, 'close').then(() => null)
  const secured = await Promise.race([once(socket, 'secureConnect'), ended])
  if (secured === null) return { code: null, resumed: false, session, socket }
  const resumed = socket.isSessionReused()
  socket.write(connect({ clientId: deviceId, userName: `${host}/${deviceId}/?api-version=2021-04-12` }))
  const answer = await Promise.race([once(socket, 'data'), ended])
  const code = answer === null ? null : ((answer[0] as Buffer)[3] ?? null)
  if (code !== 0) socket.destroy()
  return { code, resumed, session, socket }
}
