import type { Duplex } from 'node:stream'
import type { Connection, EventContext } from 'rhea'
import type { Log } from '../log.ts'
import { ofPeer } from '../hub/refusals/refusals.ts'
import type { Peer } from '../model/peer.ts'
import type { Probation } from '../net/admission.ts'
import { failureOf } from './error-conditions.ts'
import { FrameBuffer } from './frame-buffer.ts'
import { frameBodyAt, FrameGuard } from './frame-guard.ts'
import type { AmqpLimits } from './frame-guard.ts'
import { Links } from './links.ts'
import type { LinkParts } from './links.ts'
import { readPerformative, SASL_INIT } from './performative.ts'
import { announceHandleMax, capHeartbeat, closeConnection, creditOf, serve } from './rhea.ts'
import type { AmqpFailure } from './rhea.ts'
import * as sasl from './sasl.ts'
import { AmqpViolation } from './violation.ts'
import { Wire } from './wire.ts'

export interface ConnectionParts extends LinkParts, sasl.SaslParts {
  readonly log: Log
  readonly containerId: string
  readonly limits: AmqpLimits
  /** ms without a frame after which the peer counts as gone; it is told half of it (AMQP 1.0 §2.4.5). */
  readonly idleMs: number
}

/** What a peer gets to read our last words before the connection is cut. */
const LINGER_MS = 2_000
/** A peer that wants to hear from us more seldom than this hears from us this often. */
const LONGEST_HEARTBEAT_MS = 600_000

type Phase = 'header' | 'sasl' | 'logging-in' | 'amqp' | 'refused'

/** One AMQP connection: protocol headers, SASL, then frames through the guard to the engine. */
export class AmqpConnection {
  readonly #stream: Duplex
  readonly #peer: Peer
  readonly #parts: ConnectionParts
  readonly #input = new FrameBuffer()
  readonly #wire: Wire
  readonly #links: Links
  #phase: Phase = 'header'
  #guard: FrameGuard | null = null
  #engine: Connection | null = null
  #loggedIn = false
  #linger: NodeJS.Timeout | null = null
  #wakeScheduled = false

  constructor(stream: Duplex, peer: Peer, probation: Probation, parts: ConnectionParts, onClosed: () => void) {
    this.#stream = stream
    this.#peer = peer
    this.#parts = parts
    this.#wire = new Wire(stream, `${peer.address}:${peer.port}`)
    this.#wire.onDrain = () => this.#wake()
    this.#links = new Links(parts, peer, {
      wire: this.#wire,
      authenticated: () => probation.passed(),
      close: (failure) => this.close(failure, LINGER_MS),
    })
    stream.on('data', (chunk: Buffer) => this.#receive(chunk))
    stream.on('end', () => this.#wire.end())
    stream.on('error', (error: Error) => parts.log.debug({ err: error, peer: this.#name }, 'amqp connection broke'))
    stream.once('close', () => {
      this.#ended()
      onClosed()
    })
  }

  /** Says goodbye with `failure`; what is still open after `graceMs` is cut. */
  close(failure: AmqpFailure, graceMs: number): void {
    if (this.#engine === null) this.#wire.end()
    else if (!this.#engine.is_closed()) closeConnection(this.#engine, failure)
    this.#linger ??= setTimeout(() => this.#wire.destroy(), graceMs)
  }

  get #name(): string {
    return `${this.#peer.address}:${this.#peer.port}`
  }

  #ended(): void {
    if (this.#linger !== null) clearTimeout(this.#linger)
    this.#phase = 'refused'
    this.#links.close()
    this.#wire.disconnected()
  }

  #receive(chunk: Buffer): void {
    if (this.#phase === 'refused') return
    this.#input.push(chunk)
    // A drained socket is read again by itself.
    if (this.#phase === 'logging-in') this.#stream.pause()
    else this.#advance()
  }

  #advance(): void {
    try {
      while (this.#step());
    } catch (error) {
      if (error instanceof AmqpViolation) return this.#violated(error)
      // A defect, ours or the engine's, ends this connection and never the server.
      this.#parts.log.error({ err: error, peer: this.#name }, 'an AMQP connection failed unexpectedly')
      this.#stream.destroy()
    }
  }

  /** Takes one header or frame from the input; false when there is none, or none may be taken now. */
  #step(): boolean {
    switch (this.#phase) {
      case 'header':
        return this.#header(this.#input.takeHeader())
      case 'sasl':
        return this.#saslFrame(this.#input.takeFrame(sasl.MAX_SASL_FRAME))
      case 'amqp':
        return this.#frame(this.#input.takeFrame(this.#parts.limits.frameBytes))
      default:
        return false
    }
  }

  /** AMQP 1.0 §2.2: a header of a protocol that is not spoken here is answered with one that is, and the end. */
  #header(header: Buffer | null): boolean {
    if (header === null) return false
    if (header.equals(sasl.SASL_HEADER) && !this.#loggedIn) {
      this.#wire.write(sasl.SASL_HEADER)
      this.#wire.write(sasl.mechanismsFrame())
      this.#phase = 'sasl'
    } else if (header.equals(sasl.AMQP_HEADER)) {
      this.#phase = 'amqp'
      this.#startEngine()
      this.#wire.receive(header)
    } else {
      this.#wire.write(sasl.AMQP_HEADER)
      this.#refuse('protocol header', 'The peer does not speak AMQP 1.0')
    }
    return true
  }

  #saslFrame(frame: Buffer | null): boolean {
    if (frame === null) return false
    const performative = readPerformative(frame, frameBodyAt(frame, 0x01))
    if (performative.code !== SASL_INIT) throw new AmqpViolation('amqp:illegal-state', 'sasl-init was expected')
    this.#phase = 'logging-in'
    // What comes meanwhile stays in the socket.
    this.#stream.pause()
    const { texts, binaries } = performative
    void this.#logIn(texts['mechanism'] ?? '', binaries['initial-response'])
    return false
  }

  async #logIn(mechanism: string, response: Buffer | undefined): Promise<void> {
    try {
      const login = await sasl.logIn(mechanism, response, this.#parts, this.#peer)
      if (this.#phase !== 'logging-in') return
      this.#links.loggedIn(login)
      this.#loggedIn = true
      this.#phase = 'header'
      this.#wire.write(sasl.outcomeFrame(sasl.SASL_OK, 'Welcome!'))
      this.#stream.resume()
      this.#advance()
    } catch (error) {
      const { condition, description } = failureOf(error)
      const defect = condition === 'amqp:internal-error'
      if (defect) this.#parts.log.error({ err: error, peer: this.#name }, 'amqp login failed')
      this.#wire.write(sasl.outcomeFrame(defect ? sasl.SASL_SYS : sasl.SASL_AUTH, description))
      this.#end()
    }
  }

  #frame(frame: Buffer | null): boolean {
    if (frame === null) return false
    if (this.#guard?.admit(frame) === true) this.#wire.receive(frame)
    if (!this.#wakeScheduled) {
      this.#wakeScheduled = true
      // The engine acts on flow frames on the next tick.
      setImmediate(() => this.#wake())
    }
    return true
  }

  #wake(): void {
    this.#wakeScheduled = false
    this.#links.wake()
  }

  #startEngine(): void {
    const { containerId, limits, idleMs } = this.#parts
    const options = {
      containerId,
      maxFrameSize: limits.frameBytes,
      channelMax: limits.sessions - 1,
      idleTimeOutMs: idleMs / 2,
    }
    const engine = serve(this.#wire, options, (error) => this.#engineFailed(error))
    this.#engine = engine
    this.#guard = new FrameGuard(limits, (channel, handle) => creditOf(engine, channel, handle))
    engine.on('connection_open', () => {
      // AMQP 1.0 §2.7.1: a peer that names no size takes any.
      this.#wire.maxFrameBytes = engine.max_frame_size ?? Number.MAX_SAFE_INTEGER
      capHeartbeat(engine, LONGEST_HEARTBEAT_MS)
    })
    engine.on('session_open', ({ session }: EventContext) => {
      if (session !== undefined) announceHandleMax(session, limits.links - 1)
    })
    engine.on('connection_close', () => this.#links.close())
    this.#links.listen(engine)
  }

  /** The guard lets through what the engine can take; what fails in there nevertheless costs this connection alone. */
  #engineFailed(error: unknown): void {
    this.#parts.log.warn({ err: error, peer: this.#name }, 'amqp engine failed on a connection')
    this.#violated(new AmqpViolation('amqp:internal-error', 'The server could not process a frame'))
  }

  #violated({ condition, message }: AmqpViolation): void {
    if (this.#phase === 'refused') return
    if (this.#engine?.is_remote_open() === true) closeConnection(this.#engine, { condition, description: message })
    this.#refuse(condition, message)
  }

  #refuse(identity: string, message: string): void {
    const draft = { area: 'connect', hub: null, identity, rule: 'protocol-violation', message } as const
    this.#parts.refusals.record({ ...draft, ...ofPeer(this.#peer) })
    this.#end()
  }

  /** Nothing more is read; what was said is flushed, then the connection is cut. */
  #end(): void {
    this.#phase = 'refused'
    this.#links.close()
    setImmediate(() => this.#wire.end())
    this.#linger ??= setTimeout(() => this.#wire.destroy(), LINGER_MS)
  }
}
