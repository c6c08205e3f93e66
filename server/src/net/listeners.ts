import { createServer as createHttpsServer } from 'node:https'
import type { Server as HttpsServer } from 'node:https'
import { createServer as createNetServer } from 'node:net'
import type { Server as NetServer, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { Server as TlsServer, TLSSocket } from 'node:tls'
import { HubError } from '../errors.ts'
import type { Metrics } from '../metrics.ts'
import type { Peer } from '../model/peer.ts'
import type { Randomness } from '../ports/clock.ts'
import { Admission } from './admission.ts'
import type { AdmissionLimits, Probation } from './admission.ts'
import type { ByteHead } from './byte-head.ts'
import { HandshakeFailures } from './handshake-failures.ts'
import type { RefusalNote } from './handshake-failures.ts'
import { listen } from './listen.ts'
import { gatherPeer, plainPeerOf, sentChainOf } from './peer.ts'
import { SentChains } from './sent-chains.ts'
import { SessionTickets } from './session-tickets.ts'
import { assertUsable, secureContextOptions, tlsServerOptions } from './tls-context.ts'
import type { TlsMaterial } from './tls-material.ts'
import { WebSocketUpgrades } from './websocket.ts'

/** `null`: not opened. 0: any free port. */
export interface ListenerPorts {
  readonly mqtts: number | null
  readonly https: number | null
  readonly amqps: number | null
  /** AMQP without TLS, for clients with the development flag; only ever on a loopback address. */
  readonly amqp: number | null
}

export interface ListenerOptions {
  readonly host: string
  readonly ports: ListenerPorts
  readonly material: TlsMaterial
  readonly limits: AdmissionLimits
  readonly heads: { readonly mqtt: ByteHead; readonly amqp: ByteHead }
  readonly metrics: Metrics
  /** Makes the keys of session tickets. */
  readonly random: Randomness
  /** Receives refusals of area `tls`, at most 20 a second. */
  readonly onRefusal: (refusal: RefusalNote) => void
}

const PORT_OPTIONS: Readonly<Record<keyof ListenerPorts, string>> = {
  mqtts: '--mqtt-port',
  https: '--https-port',
  amqps: '--amqp-port',
  amqp: '--amqp-plain-port',
}

const CHAIN_OVER_BUDGET = {
  rule: 'request-too-large',
  remedy: 'Send the device certificate and the intermediates up to the registered authority, nothing else.',
} as const

const SESSION_RESUMED = {
  rule: 'tls-handshake-failed',
  remedy: 'Let the client connect again: the next TLS handshake will be a full one.',
} as const

/** HTTP's own bounds: header block and time, whole request, idle keep-alive. */
const HTTP_LIMITS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 30_000,
} as const

/**
 * All listeners of one server. `https` takes the `request` handler of the HTTP head (fastify's `serverFactory`) before
 * `start()`; WebSocket upgrades on it are already routed to the byte heads.
 */
export class Listeners {
  readonly https: HttpsServer
  readonly admission: Admission
  readonly #options: ListenerOptions
  readonly #failures: HandshakeFailures
  readonly #tls: readonly (TlsServer | HttpsServer)[]
  readonly #servers: Readonly<Record<keyof ListenerPorts, NetServer>>
  /** The second addresses of those that listen on localhost. */
  readonly #twins: NetServer[] = []
  readonly chains = new SentChains()
  readonly #tickets: SessionTickets

  constructor(options: ListenerOptions) {
    this.#options = options
    this.admission = new Admission(options.limits, options.metrics)
    this.#failures = new HandshakeFailures(options.onRefusal, options.metrics)
    const tlsOptions = tlsServerOptions(options.material, options.limits.handshakeSeconds)
    const mqtts = createTlsServer({ ...tlsOptions, noDelay: true })
    const amqps = createTlsServer({ ...tlsOptions, noDelay: true })
    this.https = createHttpsServer({ ...tlsOptions, ...HTTP_LIMITS, noDelay: true })
    this.#tls = [mqtts, amqps, this.https]
    this.#tickets = new SessionTickets(this.#tls, options.random)
    this.#servers = { mqtts, https: this.https, amqps, amqp: createNetServer({ noDelay: true }) }
    for (const server of Object.values(this.#servers)) this.#surviveAcceptErrors(server)
    this.#serveBytes(mqtts, 'mqtt', options.heads.mqtt)
    this.#serveBytes(amqps, 'amqp', options.heads.amqp)
    this.#serveHttps()
    this.#servePlainAmqp()
  }

  /**
   * Opens every configured port; when one fails, those already open are closed again.
   * @throws HubError `argument-invalid` with the remedies.
   */
  async start(): Promise<ListenerPorts> {
    const bound: Record<keyof ListenerPorts, number | null> = { mqtts: null, https: null, amqps: null, amqp: null }
    try {
      for (const name of ['mqtts', 'https', 'amqps', 'amqp'] as const) {
        const port = this.#options.ports[name]
        if (port === null) continue
        const host = name === 'amqp' ? 'localhost' : this.#options.host
        bound[name] = await this.#listen(name, host, port)
      }
    } catch (error) {
      await this.close(0)
      throw error
    }
    return bound
  }

  /** Handshakes that begin from now on use the new certificate, and none resumes a session; open connections stay. */
  present(material: TlsMaterial): void {
    assertUsable(material)
    for (const server of this.#tls) server.setSecureContext(secureContextOptions(material))
    this.#tickets.renew()
  }

  /** Stops accepting at once, and resolves when all connections are gone; after `graceMs` they are destroyed. */
  async close(graceMs: number): Promise<void> {
    this.#failures.close()
    this.#tickets.close()
    for (const server of [...Object.values(this.#servers), ...this.#twins]) if (server.listening) server.close()
    this.https.closeIdleConnections()
    await this.admission.drain(graceMs)
  }

  async #listen(name: keyof ListenerPorts, host: string, wanted: number): Promise<number> {
    const { port, twin } = await listen(this.#servers[name], { host, port: wanted, option: PORT_OPTIONS[name] })
    if (twin !== null) {
      this.#surviveAcceptErrors(twin)
      this.#twins.push(twin)
    }
    return port
  }

  #serveBytes(server: TlsServer, protocol: 'mqtt' | 'amqp', head: ByteHead): void {
    this.#admitBeforeHandshake(server, protocol)
    server.on('secureConnection', (socket) => {
      const peer = this.#identify(socket, protocol)
      if (peer !== null) head.accept(socket, peer, this.#probationOf(socket))
    })
  }

  #probationOf(socket: TLSSocket): Probation {
    const probation = this.admission.probationOf(socket)
    return {
      passed: () => {
        this.chains.prove(sentChainOf(socket))
        probation.passed()
      },
    }
  }

  #serveHttps(): void {
    const { heads } = this.#options
    this.#admitBeforeHandshake(this.https, 'https')
    // Before HTTP's own listener, so that a peer over budget never gets to send a request.
    this.https.prependListener('secureConnection', (socket: TLSSocket) => this.#identify(socket, 'https'))
    // From the first complete header block on, HTTP's own time limits and its door judge each request.
    this.https.on('request', (request) => this.admission.endProbationOf(request.socket))
    const upgrades = new WebSocketUpgrades(heads, (socket) => this.#probationOf(socket))
    this.https.on('upgrade', (request, socket, head) => upgrades.handle(request, socket, head))
  }

  /** A failed accept (no file descriptor left) costs that connection, not the server. */
  #surviveAcceptErrors(server: NetServer): void {
    server.on('error', () => {
      if (server.listening) this.#options.metrics.rejectedConnections.inc({ limit: 'accept' })
    })
  }

  #servePlainAmqp(): void {
    this.#servers.amqp.on('connection', (socket) => {
      this.admission.enter(socket, () =>
        this.#options.heads.amqp.accept(socket, plainPeerOf(socket), this.admission.probationOf(socket)),
      )
    })
  }

  /** Puts the doorkeeper in front of the server's own `connection` listener, which starts the handshake. */
  #admitBeforeHandshake(server: TlsServer | HttpsServer, protocol: string): void {
    const handshakes = server.listeners('connection')
    server.removeAllListeners('connection')
    server.on('connection', (socket: Socket) => {
      this.admission.enter(socket, () => {
        for (const handshake of handshakes) handshake.call(server, socket)
      })
    })
    server.on('tlsClientError', (error, socket) => {
      this.#failures.record(error, socket, protocol)
      socket.destroy()
    })
  }

  #identify(socket: TLSSocket, protocol: Peer['protocol']): Peer | null {
    try {
      return gatherPeer(socket, protocol, this.chains)
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      if (error.code === 'unauthorized') this.#tickets.distrust()
      const refusal = error.code === 'unauthorized' ? SESSION_RESUMED : CHAIN_OVER_BUDGET
      this.#failures.refuse({ ...refusal, socket, protocol, message: error.message, evidence: {} })
      socket.destroy()
      return null
    }
  }
}
