import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { X509Certificate } from 'node:crypto'
import { HubError } from '../errors.ts'
import type { Peer, TlsFacts } from '../model/peer.ts'
import { wasResumed } from './session-resumption.ts'

/** As much chain as we accept from the wire; OpenSSL itself would take 100 kB. */
export const CHAIN_BUDGET = { certificates: 10, bytes: 16 * 1024 } as const

const gathered = new WeakMap<TLSSocket, Peer>()

/**
 * The other side of a TLS connection whose handshake is done. The chain is read once, as it was sent: the list under
 * `getPeerX509Certificate()` may be consumed by the first call, and `authorized` is never a verdict of ours.
 * @throws HubError `certificate-refused` when the chain exceeds its budget, `unauthorized` when the session was resumed.
 */
export function peerOf(socket: TLSSocket, protocol: Peer['protocol']): Peer {
  const known = gathered.get(socket)
  if (known !== undefined) return known.protocol === protocol ? known : { ...known, protocol }
  if (wasResumed(socket)) {
    throw new HubError('unauthorized', 'The TLS session was resumed: only a full handshake proves the key.')
  }
  const peer: Peer = {
    address: socket.remoteAddress ?? '',
    port: socket.remotePort ?? 0,
    protocol,
    tls: tlsFacts(socket),
    chain: chainAsSent(socket.getPeerX509Certificate()),
  }
  gathered.set(socket, peer)
  return peer
}

/** The other side of the plain development port: nothing is proven. */
export function plainPeerOf(socket: Socket): Peer {
  return {
    address: socket.remoteAddress ?? '',
    port: socket.remotePort ?? 0,
    protocol: 'amqp-plain',
    tls: null,
    chain: [],
  }
}

function chainAsSent(leaf: X509Certificate | undefined): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  let bytes = 0
  for (let certificate = leaf; certificate !== undefined; certificate = certificate.issuerCertificate) {
    const der = certificate.raw
    bytes += der.length
    if (chain.length === CHAIN_BUDGET.certificates || bytes > CHAIN_BUDGET.bytes) {
      throw new HubError(
        'certificate-refused',
        `The certificate chain is larger than ${CHAIN_BUDGET.certificates} certificates or ${CHAIN_BUDGET.bytes} bytes.`,
      )
    }
    chain.push(der)
  }
  return chain
}

function tlsFacts(socket: TLSSocket): TlsFacts {
  // Null, whatever the types say, once the other side has gone.
  const cipher = socket.getCipher() as ReturnType<TLSSocket['getCipher']> | null
  const { servername } = socket
  return {
    version: socket.getProtocol() ?? 'unknown',
    cipher: cipher?.standardName ?? 'unknown',
    // Node tells the group of a key exchange on the client's side only.
    group: null,
    serverName: typeof servername === 'string' ? servername : null,
    resumed: false,
  }
}
