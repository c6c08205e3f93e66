import { isIPv6 } from 'node:net'
import type { Socket } from 'node:net'
import type { Metrics } from '../metrics.ts'
import { HandshakeQueue } from './handshake-queue.ts'

/** Bounds on what strangers may hold of us before they have proved who they are; the defaults stand in the configuration. */
export interface AdmissionLimits {
  /** Open connections, authenticated or not, over all ports. */
  readonly connections: number
  /**
   * Connections that have not authenticated yet, over all ports; as many again from addresses where devices have. When
   * half of the places are taken, no address gets more than its even share of them: the other half is for new ones.
   */
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

interface Newcomer {
  readonly socket: Socket
  readonly addressKey: string
  readonly familiar: boolean
  readonly second: number
}

/**
 * The doorkeeper of all listeners: decides before the handshake, by counting, who may come in and when, and puts out
 * whoever does not authenticate in time. One timer for all connections; every count is bounded by the limits.
 */
export class Admission {
  readonly #limits: AdmissionLimits
  readonly #metrics: Metrics
  readonly #open = new Set<Socket>()
  /** By connection, in the order of arrival, so that whoever is overdue stands in front. */
  readonly #waiting = new Map<string, Newcomer>()
  readonly #queue = new HandshakeQueue()
  #familiarCount = 0
  readonly #perAddress = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  /** Seconds since the start, counted by the timer: no clock is read per connection and none can jump. */
  #second = 0

  constructor(limits: AdmissionLimits, metrics: Metrics) {
    this.#limits = limits
    this.#metrics = metrics
    this.#timer = setInterval(() => this.tick(), 1000).unref()
  }

  /**
   * Registers a socket just accepted and calls `begin` when its handshake may start: at once, unless more come than the
   * server can greet. When a bound is reached, or nobody is there, the socket is gone.
   */
  enter(socket: Socket, begin: () => void): void {
    if (socket.remoteAddress === undefined) return void socket.destroy()
    const addressKey = addressKeyOf(socket.remoteAddress)
    const familiar = this.#queue.isFamiliar(addressKey)
    const limit = this.#limitReachedBy(addressKey, familiar)
    if (limit !== null) {
      this.#metrics.rejectedConnections.inc({ limit })
      socket.on('error', ignoreReset)
      socket.resetAndDestroy()
      return
    }
    const connection = connectionKeyOf(socket)
    // One that has ended and is not told of yet may have come from the same port.
    this.#stopWaiting(connection)
    this.#open.add(socket)
    this.#waiting.set(connection, { socket, addressKey, familiar, second: this.#second })
    if (familiar) this.#familiarCount += 1
    this.#perAddress.set(addressKey, (this.#perAddress.get(addressKey) ?? 0) + 1)
    // Until the head or the handshake listens for itself.
    socket.on('error', ignoreReset)
    const leave = this.#queue.add(addressKey, begin)
    socket.once('close', () => {
      leave()
      this.#open.delete(socket)
      if (this.#waiting.get(connection)?.socket === socket) this.#stopWaiting(connection)
    })
  }

  /** The probation of the connection under `socket`, which may be the TLS socket around the one that entered. */
  probationOf(socket: Socket): Probation {
    const connection = connectionKeyOf(socket)
    return {
      passed: () => {
        const newcomer = this.#stopWaiting(connection)
        if (newcomer !== undefined) this.#queue.befriend(newcomer.addressKey)
      },
    }
  }

  /** It asks for something that is judged request by request: no longer a newcomer, and nothing is proven. */
  endProbationOf(socket: Socket): void {
    this.#stopWaiting(connectionKeyOf(socket))
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

  /**
   * Resolves when every connection is gone. Whoever has not authenticated is owed nothing and goes at once, those still
   * open after `graceMs` are destroyed.
   */
  async drain(graceMs: number): Promise<void> {
    clearInterval(this.#timer)
    this.#queue.close()
    for (const { socket } of this.#waiting.values()) socket.destroy()
    const sockets = [...this.#open]
    const gone = Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    const deadline = setTimeout(() => sockets.forEach((socket) => socket.destroy()), graceMs)
    await gone
    clearTimeout(deadline)
  }

  #limitReachedBy(addressKey: string, familiar: boolean): keyof AdmissionLimits | null {
    const { connections, unauthenticated, unauthenticatedPerAddress } = this.#limits
    if (this.#open.size >= connections) return 'connections'
    const newcomers = familiar ? this.#familiarCount : this.#waiting.size - this.#familiarCount
    if (newcomers >= unauthenticated) return 'unauthenticated'
    const crowded = !familiar && newcomers * 2 >= unauthenticated
    const evenShare = crowded ? Math.ceil(unauthenticated / 2 / Math.max(1, this.#perAddress.size)) : Infinity
    const fromThere = this.#perAddress.get(addressKey) ?? 0
    return fromThere >= Math.min(unauthenticatedPerAddress, evenShare) ? 'unauthenticatedPerAddress' : null
  }

  #stopWaiting(connection: string): Newcomer | undefined {
    const newcomer = this.#waiting.get(connection)
    if (newcomer === undefined) return undefined
    this.#waiting.delete(connection)
    if (newcomer.familiar) this.#familiarCount -= 1
    const left = (this.#perAddress.get(newcomer.addressKey) ?? 1) - 1
    if (left === 0) this.#perAddress.delete(newcomer.addressKey)
    else this.#perAddress.set(newcomer.addressKey, left)
    return newcomer
  }
}

/** The TCP connection, the same for a socket and for the TLS socket that wraps it: all of RFC 9293's four parts. */
function connectionKeyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

/** A socket that we reset ourselves may still report it; there is nothing left to do about it. */
function ignoreReset(): void {}

/** IPv4 whole (also when mapped into IPv6), IPv6 by its /64. */
export function addressKeyOf(address: string): string {
  if (!address.includes(':')) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped?.[1] !== undefined) return mapped[1]
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('%', 1).join('').split('::')
  const groups = head === '' ? [] : head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  return [...groups, ...Array<string>(missing).fill('0'), ...(tail ? tail.split(':') : [])].slice(0, 4).join(':')
}
