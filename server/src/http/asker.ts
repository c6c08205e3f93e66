import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Asker } from '../operators/second-person.ts'
import { peerOfRequest } from './request-peer.ts'
import { actorOf } from './stated-access.ts'

/**
 * Who asks by this request, for the gate of dangerous acts. Bound is whatever of a request decides what is done: of the
 * headers that is If-Match, since the hub stands in the path of everything that an operator may ask for.
 */
export function askerOf(request: FastifyRequest): Asker {
  const { method, url, body, headers } = request
  const { address, protocol } = peerOfRequest(request)
  const who = actorOf(request)
  const parts = [who.name, method, url, headers['if-match'] ?? null, body ?? null]
  return {
    who,
    from: { address, protocol },
    trackingId: request.id,
    path: `${method} ${url}`,
    request: createHash('sha256').update(JSON.stringify(parts), 'utf8').digest('hex'),
  }
}
