import { constants } from 'node:crypto'
import type { TlsOptions } from 'node:tls'
import type { Server } from 'node:tls'
import type { Randomness } from '../ports/clock.ts'

/** Seconds: how old the proof of the private key may be on which a resumed session rests. */
const LIFETIME = 60 * 60
/** Key name, HMAC key and AES key of OpenSSL's tickets. */
const KEY_BYTES = 48
const SECOND = 1000
/** A stranger must not be able to keep everybody from resuming by more than this. */
const VOID_INTERVAL = 60 * SECOND

/**
 * Sessions are resumed by ticket alone (RFC 5077, RFC 8446 §2.2): nothing is kept for them, and a ticket never outlives
 * the process, the certificate or the hour. A client may not renegotiate (RFC 9325 §3.5), nor compress (§3.3).
 */
export const SESSION_OPTIONS: Pick<TlsOptions, 'secureOptions' | 'sessionTimeout'> = {
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
  sessionTimeout: LIFETIME,
}

/**
 * The keys of the tickets, other ones for each listener. Changing them makes all tickets worthless, also those that came
 * from a resumed session: so no chain of resumptions gets older than an hour.
 */
export class SessionTickets {
  readonly #servers: readonly Pick<Server, 'setTicketKeys'>[]
  readonly #random: Randomness
  readonly #timer: NodeJS.Timeout
  #voidable = true
  #pause: NodeJS.Timeout | null = null

  constructor(servers: readonly Pick<Server, 'setTicketKeys'>[], random: Randomness) {
    this.#servers = servers
    this.#random = random
    this.renew()
    this.#timer = setInterval(() => this.renew(), LIFETIME * SECOND).unref()
  }

  /** Every ticket given so far is worthless from now on. */
  renew(): void {
    for (const server of this.#servers) server.setTicketKeys(Buffer.from(this.#random.bytes(KEY_BYTES)))
  }

  /**
   * A session was resumed of which too little is known to judge it: its client would come back with the same ticket, so
   * no ticket is good any more and everybody's next handshake is a full one. At most once a minute.
   */
  distrust(): void {
    if (!this.#voidable) return
    this.#voidable = false
    this.#pause = setTimeout(() => (this.#voidable = true), VOID_INTERVAL).unref()
    this.renew()
  }

  close(): void {
    clearInterval(this.#timer)
    if (this.#pause !== null) clearTimeout(this.#pause)
  }
}
