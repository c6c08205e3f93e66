import { randomBytes } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { connect as tlsConnect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { Metrics } from '../../src/metrics.ts'
import type { Peer } from '../../src/model/peer.ts'
import type { AdmissionLimits, Probation } from '../../src/net/admission.ts'
import type { ByteHead } from '../../src/net/byte-head.ts'
import type { RefusalNote } from '../../src/net/handshake-failures.ts'
import { Listeners } from '../../src/net/listeners.ts'
import type { ListenerPorts } from '../../src/net/listeners.ts'
import type { TlsMaterial } from '../../src/net/tls-material.ts'
import { makeRoot, makeServer } from '../http/certificates.ts'
import type { TestAuthority } from '../http/certificates.ts'

/** A head that greets, echoes, and keeps what it was given. */
export class EchoHead implements ByteHead {
  readonly accepted: { stream: Duplex; peer: Peer; probation: Probation }[] = []
  readonly #passes: boolean

  constructor(passes = true) {
    this.#passes = passes
  }

  accept(stream: Duplex, peer: Peer, probation: Probation): void {
    this.accepted.push({ stream, peer, probation })
    if (this.#passes) probation.passed()
    stream.on('error', () => stream.destroy())
    stream.on('data', (chunk: Buffer) => stream.write(chunk))
    stream.write('hello')
  }

  async close(): Promise<void> {
    for (const { stream } of this.accepted) stream.destroy()
  }
}

export interface Listening {
  readonly listeners: Listeners
  readonly ports: ListenerPorts
  readonly root: TestAuthority
  readonly material: TlsMaterial
  readonly mqtt: EchoHead
  readonly amqp: EchoHead
  readonly refusals: RefusalNote[]
  readonly metrics: Metrics
  /** A TLS client that trusts the server; resolves after the handshake. */
  dial(options?: ConnectionOptions): Promise<TLSSocket>
  close(): Promise<void>
}

export const TEST_LIMITS: AdmissionLimits = {
  connections: 100,
  unauthenticated: 50,
  unauthenticatedPerAddress: 50,
  handshakeSeconds: 5,
}

export async function startListening(
  options: { limits?: Partial<AdmissionLimits>; passes?: boolean; plainAmqp?: boolean; host?: string } = {},
): Promise<Listening> {
  const root = await makeRoot('Listener test root')
  const server = await makeServer(root, ['localhost', '127.0.0.1'])
  const material = [{ certificates: server.cert, key: server.key }] as const
  const mqtt = new EchoHead(options.passes)
  const amqp = new EchoHead(options.passes)
  const refusals: RefusalNote[] = []
  const metrics = new Metrics()
  const listeners = new Listeners({
    host: options.host ?? '127.0.0.1',
    ports: { mqtts: 0, https: 0, amqps: 0, amqp: options.plainAmqp ? 0 : null },
    material,
    random: { bytes: randomBytes },
    limits: { ...TEST_LIMITS, ...options.limits },
    heads: { mqtt, amqp },
    metrics,
    onRefusal: (refusal) => refusals.push(refusal),
  })
  const ports = await listeners.start()
  return {
    listeners,
    ports,
    root,
    material,
    mqtt,
    amqp,
    refusals,
    metrics,
    dial: (dialOptions = {}) =>
      new Promise((resolve, reject) => {
        const socket = tlsConnect(
          { host: '127.0.0.1', port: ports.mqtts ?? 0, ca: root.pem, servername: 'localhost', ...dialOptions },
          () => resolve(socket),
        )
        socket.on('error', reject)
      }),
    close: () => listeners.close(0),
  }
}

/** Resolves when the socket is closed, however it came to that. */
export function closeOf(socket: EventEmitter): Promise<void> {
  socket.on('error', () => {})
  return new Promise((resolve) => socket.once('close', () => resolve()))
}
