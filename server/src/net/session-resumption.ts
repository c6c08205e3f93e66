import { constants } from 'node:crypto'
import type { SecureContextOptions, TLSSocket } from 'node:tls'

/**
 * The one place that decides about TLS session resumption. Today: none.
 *
 * A resumed session shows only the leaf, not the chain, and needs no fresh proof of the key, so its trust would be
 * that of the first handshake. SSL_OP_NO_TICKET ends TLS 1.2 tickets (RFC 5077) and makes those of TLS 1.3
 * (RFC 8446 §4.6.1) references into a cache that a Node server without a `resumeSession` listener does not have; for the
 * same reason TLS 1.2 session ids lead nowhere.
 */
export const RESUMPTION_OPTIONS: SecureContextOptions = { secureOptions: constants.SSL_OP_NO_TICKET }

/** Second line of defence: a connection that was resumed in spite of the options above must not be served. */
export function wasResumed(socket: TLSSocket): boolean {
  return socket.isSessionReused()
}
