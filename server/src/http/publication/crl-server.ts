import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Server as NetServer, Socket } from 'node:net'
import type { Crls } from '../../hub/revocation/crls.ts'
import { addressKeyOf } from '../../net/admission.ts'
import { listen } from '../../net/listen.ts'
import type { ListenerPorts } from '../../net/listeners.ts'
import type { Clock } from '../../ports/clock.ts'
import { crlAnswer } from './crl-answer.ts'

/** Whatever is asked here needs no head of its own: one path, a host name, two or three validators. */
const HTTP_LIMITS = {
  maxHeaderSize: 4 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
} as const
const MAX_CONNECTIONS = 256
/** Of one address (IPv6: one /64). */
const MAX_PER_ADDRESS = 32
const MAX_REQUESTS_PER_CONNECTION = 100
/** For a reader that takes nothing, and for one that takes its time. */
const IDLE_MS = 10_000
const LONGEST_ANSWER_MS = 5 * 60_000
const PATH = /^\/crl\/([0-9a-f]{40}(?:-[0-9a-f]{16})?(?:-delta)?\.crl)$/

/** As bound; null where it is not served. */
export interface ServedPorts extends ListenerPorts {
  readonly crl: number | null
}

export interface CrlServerParts {
  readonly crls: Pick<Crls, 'published'>
  readonly clock: Clock
}

/**
 * CRLs over plain HTTP, which is how certificates name them: a list is signed, and whoever had to check the certificate of
 * a TLS server first would go in a circle (RFC 5280 §4.2.1.13, §8). GET and HEAD of a list, and nothing else; no other part of
 * the server can be reached from here.
 */
export class CrlServer {
  readonly #parts: CrlServerParts
  readonly #server: Server
  readonly #open = new Set<Socket>()
  readonly #perAddress = new Map<string, number>()
  #twin: NetServer | null = null

  constructor(parts: CrlServerParts) {
    this.#parts = parts
    this.#server = createServer(HTTP_LIMITS, (request, response) => this.#answer(request, response))
    this.#server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION
    this.#server.maxHeadersCount = 64
    this.#server.timeout = IDLE_MS
    this.#server.prependListener('connection', (socket: Socket) => this.#admit(socket))
  }

  /** Resolves to the port in use. Throws HubError `argument-invalid` when it cannot be had. */
  async listen(host: string, port: number): Promise<number> {
    const bound = await listen(this.#server, { host, port, option: '--crl-port' })
    // A failed accept costs that connection, not the server.
    this.#server.on('error', () => {})
    this.#twin = bound.twin
    bound.twin?.on('error', () => {})
    return bound.port
  }

  async close(): Promise<void> {
    const servers = [this.#server, ...(this.#twin === null ? [] : [this.#twin])]
    const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)))
    for (const socket of this.#open) socket.destroy()
    await Promise.all(closed)
  }

  #admit(socket: Socket): void {
    const address = addressKeyOf(socket.remoteAddress ?? '')
    const fromThere = this.#perAddress.get(address) ?? 0
    socket.on('error', () => {})
    if (this.#open.size >= MAX_CONNECTIONS || fromThere >= MAX_PER_ADDRESS) return void socket.destroy()
    this.#open.add(socket)
    this.#perAddress.set(address, fromThere + 1)
    socket.once('close', () => {
      this.#open.delete(socket)
      const left = (this.#perAddress.get(address) ?? 1) - 1
      if (left === 0) this.#perAddress.delete(address)
      else this.#perAddress.set(address, left)
    })
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { method, headers } = request
    const overdue = setTimeout(() => request.socket.destroy(), LONGEST_ANSWER_MS).unref()
    response.once('close', () => clearTimeout(overdue))
    response.setHeader('x-content-type-options', 'nosniff')
    if (method !== 'GET' && method !== 'HEAD') return refuse(response.setHeader('allow', 'GET, HEAD'), 405)
    // Nothing that is asked here has a body, and one that is left unread could be taken for the next request.
    if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0)
      return refuse(response, 400)
    const [, file] = PATH.exec(pathOf(request.url ?? '')) ?? []
    const crl = file === undefined ? null : this.#parts.crls.published(file)
    if (crl === null) return refuse(response, 404)
    const { status, headers: own, body } = crlAnswer(crl, headers, this.#parts.clock.now())
    if (status === 200) response.setHeader('content-length', body.length)
    response.writeHead(status, own)
    response.end(method === 'HEAD' || status === 304 ? undefined : body)
  }
}

/** RFC 9112 §3.2.2: a server accepts the absolute form too, which proxies send. */
function pathOf(target: string): string {
  return target.replace(/^http:\/\/[^/?#]*/i, '')
}

function refuse(response: ServerResponse, status: 400 | 404 | 405): void {
  response.writeHead(status, { connection: 'close', 'content-length': 0 }).end()
}
