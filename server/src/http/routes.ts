import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest, RawServerDefault } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../ports/clock.ts'
import { failureOf } from './failure.ts'
import type { Failure, FailureShape } from './failure.ts'

/** The instance that heads add their routes to: request types come from the TypeBox schemas of each route. */
export type Routes = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** A step before the handler that lets a request pass or rejects it. */
export type RequestStep = (request: FastifyRequest) => Promise<void>

/** How one head words failures. */
export type FailureWording = (failure: Failure, now: number) => FailureShape

export function answerFailuresIn(routes: Routes, wording: FailureWording, clock: Clock): void {
  routes.setErrorHandler((thrown, request, reply) => sendFailure(thrown, request, reply, wording, clock))
}

export function sendFailure(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  wording: FailureWording,
  clock: Clock,
): FastifyReply {
  const failure = failureOf(thrown, request)
  const { status, headers, body } = wording(failure, clock.now())
  if (failure.retryAfter !== null) void reply.header('retry-after', String(Math.max(1, Math.ceil(failure.retryAfter))))
  return reply.code(status).headers(headers).send(body)
}
