import { TLSSocket } from 'node:tls'
import type { FastifyRequest } from 'fastify'
import { HubError } from '../errors.ts'
import type { Peer } from '../model/peer.ts'
import { peerOf } from '../net/peer.ts'

/** The peer of the request's connection; its certificates were read once, however many requests follow. */
export function peerOfRequest(request: FastifyRequest): Peer {
  const { socket } = request.raw
  if (!(socket instanceof TLSSocket)) throw new HubError('internal', 'The HTTP API is served over TLS only.')
  return peerOf(socket, 'https')
}
