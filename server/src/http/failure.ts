import type { FastifyError, FastifyRequest } from 'fastify'
import { HubError } from '../errors.ts'
import type { HubErrorCode } from '../errors.ts'
import { printable } from '../model/ids.ts'
import { describeInvalid } from './invalid-request.ts'

/** What a client may learn of a failed request. */
export interface Failure {
  readonly code: HubErrorCode
  readonly message: string
  /** 32 hex digits: of the recorded refusal where there is one, else of the request. */
  readonly trackingId: string
  /** Seconds, or null when a retry makes no sense by itself. */
  readonly retryAfter: number | null
  /** Set when HTTP itself knows a better status than the code's own, e.g. 415. */
  readonly status: number | null
}

/** Turns whatever a route threw into what may be shown. The unexpected is logged whole and shown as `internal`. */
export function failureOf(thrown: unknown, request: FastifyRequest): Failure {
  if (thrown instanceof HubError) return fromHubError(thrown, request)
  const framework = frameworkFailure(thrown)
  if (framework) return { ...framework, trackingId: request.id, retryAfter: null }
  request.log.error({ err: thrown, ...aboutRequest(request) }, 'request failed')
  return internal(request)
}

function fromHubError(error: HubError, request: FastifyRequest): Failure {
  const trackingId = error.trackingId ?? request.id
  if (error.code === 'internal')
    request.log.error({ err: error, ...aboutRequest(request), trackingId }, 'request failed')
  return {
    code: error.code,
    message: error.message,
    trackingId,
    retryAfter: error.retryAfter ?? null,
    status: null,
  }
}

/** The device that the path names is part of it; the path itself may hold anything. */
function aboutRequest(request: FastifyRequest): Record<string, unknown> {
  const named: Record<string, unknown> = {}
  const params = request.params as Readonly<Record<string, unknown>> | null | undefined
  for (const name of ['hub', 'deviceId', 'registrationId'])
    if (typeof params?.[name] === 'string') named[name] = printable(params[name])
  return { trackingId: request.id, url: request.routeOptions.url, ...named }
}

function internal(request: FastifyRequest): Failure {
  return {
    code: 'internal',
    message: 'The server failed; its log has the cause under this tracking id.',
    trackingId: request.id,
    retryAfter: null,
    status: null,
  }
}

/** Errors of the framework's own parsing and validation, which carry a 4xx status. */
function frameworkFailure(thrown: unknown): Pick<Failure, 'code' | 'message' | 'status'> | null {
  if (!(thrown instanceof Error)) return null
  const { statusCode, validation, validationContext = '' } = thrown as Partial<FastifyError>
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode > 499) return null
  if (validation !== undefined)
    return { code: 'argument-invalid', message: describeInvalid(validation, validationContext), status: null }
  if (statusCode === 413) return { code: 'message-too-large', message: 'The request body is too large.', status: null }
  if (statusCode === 415)
    return {
      code: 'format-invalid',
      message: 'This content type is not understood here; send application/json.',
      status: 415,
    }
  return { code: 'format-invalid', message: thrown.message, status: statusCode }
}

/** The answer of every head to a failure: status, headers and a JSON body of the head's own shape. */
export interface FailureShape {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}
