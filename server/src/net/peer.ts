import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { X509Certificate } from 'node:crypto'
import { HubError } from '../errors.ts'
import type { Peer, TlsFacts } from '../model/peer.ts'
import { NO_CHAIN } from './sent-chains.ts'
import type { SentChain, SentChains } from './sent-chains.ts'
import { clientCertificateOf, keyExchangeGroupOf } from './tls-session.ts'

/** As much chain as we accept from the wire; OpenSSL itself would take 100 kB. */
export const CHAIN_BUDGET = { certificates: 10, bytes: 16 * 1024 } as const

interface Gathered {
  readonly peer: Peer
  readonly sent: SentChain
}

const gathered = new WeakMap<TLSSocket, Gathered>()

/**
 * The other side of a TLS connection whose handshake is done, gathered once. The chain is as it was sent; a resumed
 * session shows the leaf alone, so that what followed it comes from the memory. `authorized` is never a verdict of ours.
 * @throws HubError `certificate-refused` when the chain exceeds its budget, `unauthorized` when the session was resumed
 * and its chain is not remembered.
 */
export function gatherPeer(socket: TLSSocket, protocol: Peer['protocol'], chains: SentChains): Peer {
  const resumed = socket.isSessionReused()
  const sent = resumed ? chainOfSession(socket, chains) : chains.remember(chainAsSent(socket.getPeerX509Certificate()))
  let facts: TlsFacts | null = null
  const peer: Peer = {
    address: socket.remoteAddress ?? '',
    port: socket.remotePort ?? 0,
    protocol,
    // Asked for by hardly anybody, and dearer than all the rest.
    get tls() {
      return (facts ??= tlsFacts(socket, resumed))
    },
    chain: sent.certificates,
  }
  gathered.set(socket, { peer, sent })
  return peer
}

/** The peer that was gathered when the connection came up, as one of the protocol now spoken on it. */
export function peerOf(socket: TLSSocket, protocol: Peer['protocol']): Peer {
  const { peer } = gatheredOf(socket)
  return peer.protocol === protocol ? peer : { ...peer, protocol }
}

/** Its chain, by the name under which it is remembered. */
export function sentChainOf(socket: TLSSocket): SentChain {
  return gatheredOf(socket).sent
}

function gatheredOf(socket: TLSSocket): Gathered {
  const found = gathered.get(socket)
  if (found === undefined) throw new HubError('internal', 'The TLS connection did not come in through a listener.')
  return found
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

function chainOfSession(socket: TLSSocket, chains: SentChains): SentChain {
  const leaf = clientCertificateOf(socket.getSession())
  const sent = leaf === null ? NO_CHAIN : chains.find(leaf)
  if (sent !== null) return sent
  throw new HubError('unauthorized', 'The TLS session was resumed, and what it rests on is not known here any more.')
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

function tlsFacts(socket: TLSSocket, resumed: boolean): TlsFacts {
  // Null, whatever the types say, once the other side has gone.
  const cipher = socket.getCipher() as ReturnType<TLSSocket['getCipher']> | null
  const { servername } = socket
  return {
    version: socket.getProtocol() ?? 'unknown',
    cipher: cipher?.standardName ?? 'unknown',
    group: keyExchangeGroupOf(socket.getSession()),
    serverName: typeof servername === 'string' ? servername : null,
    resumed,
  }
}
