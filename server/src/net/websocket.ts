import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { WebSocketServer } from 'ws'
import type { Peer } from '../model/peer.ts'
import type { Probation } from './admission.ts'
import type { ByteHead } from './byte-head.ts'
import { peerOf } from './peer.ts'
import { WebSocketStream } from './websocket-stream.ts'

/** Largest message of a WebSocket, frame by frame or whole: one MQTT or AMQP packet of the largest size, and company. */
const MAX_MESSAGE_BYTES = 512 * 1024

/**
 * RFC 9293 §3.8.4: a connection whose other side is gone ends within a minute, so that what was known of it does not stand
 * in the way of the device that comes back.
 */
const PROBING = { enable: true, initialDelay: 30_000, interval: 5_000, count: 4 } as const

type Head = 'mqtt' | 'amqp'
type Heads = Readonly<Record<Head, ByteHead>>

/** Which protocol each path speaks, by sub-protocol in lower case. */
const PATHS: Readonly<Record<string, Readonly<Record<string, Head>>>> = {
  '/$iothub/websocket': { mqtt: 'mqtt', amqpwsb10: 'amqp' },
  '/$servicebus/websocket': { amqpwsb10: 'amqp' },
}

/** WebSocket upgrades of the HTTPS listener, handed to the byte heads as plain streams. */
export class WebSocketUpgrades {
  readonly #heads: Heads
  readonly #probationOf: (socket: TLSSocket) => Probation
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    handleProtocols: (offered, request) => offeredOf(offered, request)?.spelling ?? false,
  })

  constructor(heads: Heads, probationOf: (socket: TLSSocket) => Probation) {
    this.#heads = heads
    this.#probationOf = probationOf
  }

  /** Answers an upgrade request: 101 and a stream for a head, or the HTTP status that says why not. */
  handle(request: IncomingMessage, socket: Duplex, firstBytes: Buffer): void {
    const connection = request.socket
    if (!(connection instanceof TLSSocket)) return refuse(socket, 403, 'TLS is required.')
    if (protocolsAt(request) === null) return refuse(socket, 404, 'There is no WebSocket at this path.')
    const offer = offeredOf(offers(request), request)
    if (offer === null) {
      return refuse(socket, 400, 'Offer the WebSocket sub-protocol mqtt or AMQPWSB10 as this path speaks it.')
    }
    connection.setKeepAlive(PROBING)
    const peer = peerOf(connection, `${offer.head}-ws` satisfies Peer['protocol'])
    this.#server.handleUpgrade(request, socket, firstBytes, (webSocket) => {
      this.#heads[offer.head].accept(new WebSocketStream(webSocket), peer, this.#probationOf(connection))
    })
  }
}

/** The query is free: some SDKs say there whether they will show a client certificate. */
function protocolsAt(request: IncomingMessage): Readonly<Record<string, Head>> | null {
  const path = (request.url ?? '')
    .split('?', 1)
    .join('')
    .replace(/^\/%24/, '/$')
    .replace(/\/$/, '')
  return Object.hasOwn(PATHS, path) ? (PATHS[path] ?? null) : null
}

function offers(request: IncomingMessage): Iterable<string> {
  return (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
}

/** The first offered sub-protocol that the path speaks. Names are compared in any case, the client's spelling is echoed. */
function offeredOf(offered: Iterable<string>, request: IncomingMessage): { spelling: string; head: Head } | null {
  const protocols = protocolsAt(request) ?? {}
  for (const spelling of offered) {
    const name = spelling.toLowerCase()
    const head = Object.hasOwn(protocols, name) ? protocols[name] : undefined
    if (head !== undefined) return { spelling, head }
  }
  return null
}

function refuse(socket: Duplex, status: 400 | 403 | 404, message: string): void {
  const reasons = { 400: 'Bad Request', 403: 'Forbidden', 404: 'Not Found' } as const
  socket.once('error', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${status} ${reasons[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
  )
}
