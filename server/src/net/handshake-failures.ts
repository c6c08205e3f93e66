import type { TLSSocket } from 'node:tls'
import type { Metrics } from '../metrics.ts'
import { printable } from '../model/ids.ts'
import type { Refusal } from '../model/refusal.ts'

/** A refusal before it is numbered and dated. */
export type RefusalNote = Omit<Refusal, 'trackingId' | 'time'>

/** Refusals of one second that are stored one by one; a flood beyond that is only counted. */
const STORED_PER_SECOND = 20

type HandshakeRule = Extract<
  Refusal['rule'],
  | 'tls-handshake-failed'
  | 'tls-not-spoken'
  | 'tls-version-unsupported'
  | 'tls-cipher-mismatch'
  | 'server-certificate-refused'
>

interface Cause {
  readonly rule: HandshakeRule
  readonly message: string
  readonly remedy: string
}

const SUITES: Cause = {
  rule: 'tls-cipher-mismatch',
  message: 'The client offers no cipher suite that the server accepts.',
  remedy: 'Allow AES-GCM or ChaCha20-Poly1305 with ECDHE in the client (in TLS 1.3 each suite does).',
}
const VERSIONS: Cause = {
  rule: 'tls-version-unsupported',
  message: 'The client offers only versions of TLS that the server does not speak: 1.1 or older.',
  remedy: 'Let the client use TLS 1.2 or 1.3.',
}
const NO_TRUST: Cause = {
  rule: 'server-certificate-refused',
  message: "The client does not know the CA that signed this server's certificate.",
  remedy: 'Give the client the root that signed the server certificate.',
}
const NO_TLS: Cause = {
  rule: 'tls-not-spoken',
  message: 'What the client sent to this TLS port is not TLS.',
  remedy: 'Switch TLS on in the client, or correct its port.',
}

/** By the code of the error, which comes from OpenSSL's reason. */
const CAUSES: Readonly<Record<string, Cause>> = {
  ERR_SSL_HTTP_REQUEST: {
    ...NO_TLS,
    message: 'The client speaks plain HTTP to this TLS port.',
    remedy: 'Use https:// in the address.',
  },
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
  ERR_SSL_UNSUPPORTED_PROTOCOL: VERSIONS,
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: VERSIONS,
  ERR_SSL_NO_SHARED_CIPHER: SUITES,
  ERR_SSL_NO_SUITABLE_KEY_SHARE: {
    rule: 'tls-cipher-mismatch',
    message: 'The client offers no key exchange group that the server accepts.',
    remedy: 'Allow X25519 or P-256 in the client.',
  },
  ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM: {
    rule: 'tls-cipher-mismatch',
    message: "The client accepts no signature that the server's certificate can make.",
    remedy: 'Allow ECDSA with SHA-256 or RSA-PSS in the client.',
  },
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: NO_TRUST,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: {
    ...NO_TRUST,
    message: "The client refused this server's certificate as bad.",
    remedy:
      'Give the client the root that signed the server certificate, and connect by a host name that the certificate carries.',
  },
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: {
    ...NO_TRUST,
    message: "The client refused this server's certificate: it does not trust its root, or dialled another name.",
    remedy:
      'Give the client the root that signed the server certificate, and connect by a host name that the certificate carries.',
  },
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: {
    ...NO_TRUST,
    message: "The client takes this server's certificate for expired or not yet valid.",
    remedy: "Set the client's clock; `holdfast expiry` shows when the certificate of this server ends.",
  },
  ERR_TLS_HANDSHAKE_TIMEOUT: {
    rule: 'tls-handshake-failed',
    message: 'The client did not finish the TLS handshake in time.',
    remedy: "Look at the client's network and load.",
  },
  ERR_SSL_BAD_SIGNATURE: {
    rule: 'tls-handshake-failed',
    message: 'The client did not prove that it holds the private key of the certificate it showed.',
    remedy: 'Give the device the key that belongs to its certificate: `holdfast pki inspect` shows the key of each.',
  },
}

const DEFAULT_REMEDY =
  'Let the client speak TLS 1.2 or 1.3, trust the root of this server, and hold the private key of the certificate it shows.'

function causeOf(error: NodeJS.ErrnoException): Cause {
  const known = CAUSES[error.code ?? '']
  if (known !== undefined) return known
  const message = `The TLS handshake failed: ${printable(reasonOf(error), 200)}.`
  return { rule: 'tls-handshake-failed', message, remedy: DEFAULT_REMEDY }
}

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
    this.refuse({ socket, protocol, ...causeOf(error), evidence: { code: error.code ?? 'unknown' } })
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
