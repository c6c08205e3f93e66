import { createSecureContext } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import { HubError } from '../errors.ts'
import type { TlsMaterial } from './tls-material.ts'
import { SESSION_OPTIONS } from './session-tickets.ts'

/** TLS 1.3 suites, then ECDHE with AEAD for TLS 1.2 (RFC 9325 §4.2), which some device SDKs still force. */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** Post-quantum hybrid first, then the curves of RFC 9325 §4.4; none of the finite-field groups that OpenSSL adds. */
const GROUPS = 'X25519MLKEM768:X25519:P-256:X448:P-384:P-521'

/**
 * What a secure context is made of. `ca` is empty on purpose: every entry's name would be sent in each handshake, more
 * than about 1,170 names break all of them, and trust is decided per hub after the handshake, never by OpenSSL.
 */
export function secureContextOptions(material: TlsMaterial): TlsOptions {
  return {
    ...SESSION_OPTIONS,
    // OpenSSL keeps one of each key type and shows the one that the client can verify.
    cert: material.map(({ certificates }) => certificates),
    key: material.map(({ key }) => key),
    ca: [],
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    ecdhCurve: GROUPS,
    honorCipherOrder: true,
  }
}

/**
 * Options of every TLS server. A client certificate is asked for and never required: whoever sends none, or one that
 * no hub trusts, gets the answer of its own protocol instead of a bare TLS alert.
 * @throws HubError `argument-invalid` when certificate and key cannot be used together.
 */
export function tlsServerOptions(material: TlsMaterial, handshakeSeconds: number): TlsOptions {
  assertUsable(material)
  return {
    ...secureContextOptions(material),
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: handshakeSeconds * 1000,
  }
}

/** @throws HubError `argument-invalid`, before any listener has been touched. */
export function assertUsable(material: TlsMaterial): void {
  try {
    createSecureContext(secureContextOptions(material))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new HubError(
      'argument-invalid',
      `The server certificate and its private key cannot be used for TLS: ${reason}. ` +
        'Give a PEM file with the server certificate first and its intermediates after it, and the key that belongs to it.',
      { cause },
    )
  }
}
