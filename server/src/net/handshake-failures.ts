import type { TLSSocket } from 'node:tls'
import type { Metrics } from '../metrics.ts'
import { printable } from '../model/ids.ts'
import type { Refusal } from '../model/refusal.ts'

/** A refusal before it is numbered and dated. */
export type RefusalNote = Omit<Refusal, 'trackingId' | 'time'>

/** Refusals of one second that are stored one by one; a flood beyond that is only counted. */
const STORED_PER_SECOND = 20

const REMEDIES: Readonly<Record<string, string>> = {
  ERR_SSL_HTTP_REQUEST: 'The client speaks plain HTTP to a TLS port: use https.',
  ERR_SSL_WRONG_VERSION_NUMBER: 'The client does not speak TLS on this port: switch TLS on.',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'The client offers only TLS 1.1 or older: let it use TLS 1.2 or 1.3.',
  ERR_SSL_NO_SHARED_CIPHER: 'The client offers no ECDHE suite with AEAD: allow AES-GCM or ChaCha20-Poly1305.',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA:
    "The client does not trust this server's certificate: give it the root that signed it.",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    "The client refused this server's certificate: give it the root that signed it and connect by a name that the certificate carries.",
  ERR_TLS_HANDSHAKE_TIMEOUT: 'The client did not finish the TLS handshake in time: look at its network or its load.',
}

const DEFAULT_REMEDY =
  'Let the client speak TLS 1.2 or 1.3 and trust the root that signed the certificate of this server.'

/** Turns failed TLS handshakes into refusals of area `tls`, at a bounded rate. */
export class HandshakeFailures {
  readonly #note: (refusal: RefusalNote) => void
  readonly #metrics: Metrics
  readonly #timer: NodeJS.Timeout
  #left = STORED_PER_SECOND

  constructor(note: (refusal: RefusalNote) => void, metrics: Metrics) {
    this.#note = note
    this.#metrics = metrics
    this.#timer = setInterval(() => {
      this.#left = STORED_PER_SECOND
    }, 1000).unref()
  }

  record(error: NodeJS.ErrnoException, socket: TLSSocket, protocol: string): void {
    // A peer that hangs up in the handshake (port check, load balancer probe) has not been refused anything.
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return
    this.refuse({
      socket,
      protocol,
      rule: 'tls-handshake-failed',
      message: `The TLS handshake failed: ${printable(reasonOf(error), 200)}.`,
      remedy: REMEDIES[error.code ?? ''] ?? DEFAULT_REMEDY,
      evidence: { code: error.code ?? 'unknown' },
    })
  }

  refuse(failure: {
    socket: TLSSocket
    protocol: string
    rule: Refusal['rule']
    message: string
    remedy: string
    evidence: Readonly<Record<string, string>>
  }): void {
    const { socket, ...facts } = failure
    if (this.#left === 0) {
      this.#metrics.refusals.inc({ area: 'tls', rule: facts.rule })
      return
    }
    this.#left -= 1
    this.#note({
      ...facts,
      area: 'tls',
      hub: null,
      peer: { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
      identity: '',
      chain: [],
    })
  }

  close(): void {
    clearInterval(this.#timer)
  }
}

/** OpenSSL's own short reason where there is one; its long form repeats source file names. */
function reasonOf(error: NodeJS.ErrnoException & { reason?: string }): string {
  return error.reason ?? error.message
}
