import type { FastifyRequest } from 'fastify'

/** The Authorization header's text; the C SDK sends a single blank with a client certificate, which means none. */
export function authorizationOf(request: FastifyRequest): string | null {
  const text = request.headers.authorization?.trim()
  return text ? text : null
}

/** The token of `Authorization: Bearer <token>` (RFC 6750 §2.1), or null. */
export function bearerTokenOf(request: FastifyRequest): string | null {
  const match = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(authorizationOf(request) ?? '')
  return match?.[1] ?? null
}

/** Host as the client named it, possibly with a port; Node refuses HTTP/1.1 requests without one (RFC 9112 §3.2). */
export function hostOf(request: FastifyRequest): string {
  return request.headers.host ?? ''
}
