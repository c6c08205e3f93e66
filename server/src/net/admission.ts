import { isIPv6 } from 'node:net'
import type { Socket } from 'node:net'
import type { Metrics } from '../metrics.ts'

/** Bounds on what strangers may hold of us before they have proved who they are; the defaults stand in the configuration. */
export interface AdmissionLimits {
  /** Open connections, authenticated or not, over all ports. */
  readonly connections: number
  /** Connections that have not authenticated yet, over all ports. */
  readonly unauthenticated: number
  /** The same from one address (IPv6: one /64, which is what one subscriber gets, RFC 6177). */
  readonly unauthenticatedPerAddress: number
  /** From the TCP accept through the TLS handshake to a successful CONNECT, open or request. */
  readonly handshakeSeconds: number
}

/** What a head owes the doorkeeper: word that the peer has proved who it is. Until then its time runs out. */
export interface Probation {
  passed(): void
}

/**
 * The doorkeeper of all listeners: decides before the handshake, by counting, who may come in, and puts out whoever
 * does not authenticate in time. One timer for all connections; every count is bounded by the limits.
 */
export class Admission {
  readonly #limits: AdmissionLimits
  readonly #metrics: Metrics
  readonly #open = new Set<Socket>()
  /** By connection, in the order of arrival, so that whoever is overdue stands in front. */
  readonly #waiting = new Map<
    string,
    { readonly socket: Socket; readonly addressKey: string; readonly second: number }
  >()
  readonly #perAddress = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  /** Seconds since the start, counted by the timer: no clock is read per connection and none can jump. */
  #second = 0

  constructor(limits: AdmissionLimits, metrics: Metrics) {
    this.#limits = limits
    this.#metrics = metrics
    this.#timer = setInterval(() => this.tick(), 1000).unref()
  }

  /** Registers a socket just accepted; `false` means that a bound is reached, or nobody there, and the socket is gone. */
  enter(socket: Socket): boolean {
    if (socket.remoteAddress === undefined) {
      socket.destroy()
      return false
    }
    const addressKey = addressKeyOf(socket.remoteAddress)
    const limit = this.#limitReachedBy(addressKey)
    if (limit !== null) {
      this.#metrics.rejectedConnections.inc({ limit })
      socket.on('error', ignoreReset)
      socket.resetAndDestroy()
      return false
    }
    const connection = connectionKeyOf(socket)
    this.#open.add(socket)
    this.#waiting.set(connection, { socket, addressKey, second: this.#second })
    this.#perAddress.set(addressKey, (this.#perAddress.get(addressKey) ?? 0) + 1)
    socket.once('close', () => {
      this.#open.delete(socket)
      this.#stopWaiting(connection)
    })
    return true
  }

  /** The probation of the connection under `socket`, which may be the TLS socket around the one that entered. */
  probationOf(socket: Socket): Probation {
    return { passed: () => this.#stopWaiting(connectionKeyOf(socket)) }
  }

  get openCount(): number {
    return this.#open.size
  }

  get unauthenticatedCount(): number {
    return this.#waiting.size
  }

  /** One second has passed. Called by the timer. */
  tick(): void {
    this.#second += 1
    for (const [connection, { socket, second }] of this.#waiting) {
      if (this.#second - second <= this.#limits.handshakeSeconds) break
      this.#metrics.rejectedConnections.inc({ limit: 'handshakeSeconds' })
      this.#stopWaiting(connection)
      socket.destroy()
    }
  }

  /** Resolves when every connection is gone; those still open after `graceMs` are destroyed. */
  async drain(graceMs: number): Promise<void> {
    clearInterval(this.#timer)
    const sockets = [...this.#open]
    const gone = Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    const deadline = setTimeout(() => sockets.forEach((socket) => socket.destroy()), graceMs)
    await gone
    clearTimeout(deadline)
  }

  #limitReachedBy(addressKey: string): keyof AdmissionLimits | null {
    if (this.#open.size >= this.#limits.connections) return 'connections'
    if (this.#waiting.size >= this.#limits.unauthenticated) return 'unauthenticated'
    const fromThere = this.#perAddress.get(addressKey) ?? 0
    return fromThere >= this.#limits.unauthenticatedPerAddress ? 'unauthenticatedPerAddress' : null
  }

  #stopWaiting(connection: string): void {
    const entry = this.#waiting.get(connection)
    if (entry === undefined) return
    this.#waiting.delete(connection)
    const left = (this.#perAddress.get(entry.addressKey) ?? 1) - 1
    if (left === 0) this.#perAddress.delete(entry.addressKey)
    else this.#perAddress.set(entry.addressKey, left)
  }
}

/** The TCP connection, the same for a socket and for the TLS socket that wraps it. */
function connectionKeyOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localPort}`
}

/** A socket that we reset ourselves may still report it; there is nothing left to do about it. */
function ignoreReset(): void {}

/** IPv4 whole (also when mapped into IPv6), IPv6 by its /64. */
export function addressKeyOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped?.[1] !== undefined) return mapped[1]
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('%', 1).join('').split('::')
  const groups = head === '' ? [] : head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  return [...groups, ...Array<string>(missing).fill('0'), ...(tail ? tail.split(':') : [])].slice(0, 4).join(':')
}
