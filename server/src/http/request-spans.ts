import type { FastifyRequest } from 'fastify'
import { beginSpan } from '../tracing.ts'
import type { Traced } from '../tracing.ts'
import type { Routes } from './routes.ts'

/**
 * A span for each request of an operator or of a service. To be called before anything else listens to requests, so that
 * whatever they cause has that span as its parent. Of the path only the route's pattern is told.
 */
export function traceRequests(app: Routes): void {
  const spans = new WeakMap<FastifyRequest, Traced>()

  app.addHook('onRequest', (request, _reply, done) => {
    const { config, url } = request.routeOptions
    const kind = config.access?.kind
    if (kind === undefined || kind === 'device' || kind === 'everybody') return done()
    const span = beginSpan('management.request', {
      'http.request.method': request.method,
      'http.route': url ?? '',
      'client.address': request.ip,
      'holdfast.tracking.id': request.id,
    })
    spans.set(request, span)
    span.within(done)
  })

  const end = (request: FastifyRequest, status: number | null): void => {
    const span = spans.get(request)
    if (span === undefined) return
    spans.delete(request)
    const outcome = status === null || status >= 500 ? 'failed' : status >= 400 ? 'refused' : 'accepted'
    span.note({ 'holdfast.outcome': outcome, ...(status !== null && { 'http.response.status_code': status }) })
    span.end()
  }
  app.addHook('onResponse', (request, reply, done) => {
    end(request, reply.statusCode)
    done()
  })
  app.addHook('onRequestAbort', (request, done) => {
    end(request, null)
    done()
  })
}
