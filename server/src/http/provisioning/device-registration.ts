import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import type { JsonValue } from '../../model/twin.ts'
import type { AuthenticatedRegistration } from '../../provisioning/authenticate-registration.ts'
import type { Registrar } from '../../provisioning/register.ts'
import { REGISTRATION_BYTES } from '../../provisioning/registration-body.ts'
import { deviceRegistrationJson, registrationResultJson } from '../../provisioning/wire-registration.ts'
import type { RegistrationResult } from '../../provisioning/wire-registration.ts'
import { authorizationOf } from '../authorization.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { Routes } from '../routes.ts'
import { FOR_DEVICES } from '../stated-access.ts'

const RegistrationParams = Type.Object({ scope: Type.String(), registrationId: Type.String() })
const OperationParams = Type.Object({ ...RegistrationParams.properties, operationId: Type.String({ maxLength: 128 }) })
const RegisterBody = Type.Optional(
  Type.Object({
    registrationId: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    payload: Type.Optional(Type.Unsafe<JsonValue>(Type.Unknown())),
  }),
)
const tags = ['provisioning device API']

/** The HTTPS form of device registration: register, poll, look up. */
export function deviceRegistrationRoutes(routes: Routes, { registrar }: { registrar: Registrar }): void {
  const registrants = new WeakMap<FastifyRequest, AuthenticatedRegistration>()
  const authenticate = async (request: FastifyRequest): Promise<void> => {
    const { scope, registrationId } = request.params as { scope: string; registrationId: string }
    const claim = { scope, registrationId, token: authorizationOf(request) }
    registrants.set(request, await registrar.authenticate(claim, peerOfRequest(request)))
  }
  const whoOf = (request: FastifyRequest): AuthenticatedRegistration => {
    const who = registrants.get(request)
    if (who === undefined) throw new HubError('internal', 'A registration came in without its device.')
    return who
  }

  routes.put(
    '/:scope/registrations/:registrationId/register',
    {
      config: FOR_DEVICES,
      onRequest: authenticate,
      bodyLimit: REGISTRATION_BYTES,
      schema: {
        tags,
        summary: 'Register this device',
        params: RegistrationParams,
        querystring: Type.Object({ forceRegistration: Type.Optional(Type.String()) }),
        body: RegisterBody,
      },
    },
    async (request, reply) => {
      const who = whoOf(request)
      const body = registrar.readBody(who, request.body ?? {})
      const force = request.query.forceRegistration?.toLowerCase() === 'true'
      const result = await registrar.register(who, body, { force })
      return answer(reply, result, request.params)
    },
  )

  routes.get(
    '/:scope/registrations/:registrationId/operations/:operationId',
    {
      config: FOR_DEVICES,
      onRequest: authenticate,
      schema: { tags, summary: 'Poll a registration', params: OperationParams },
    },
    async (request, reply) =>
      answer(reply, await registrar.status(whoOf(request), request.params.operationId), request.params),
  )

  routes.post(
    '/:scope/registrations/:registrationId',
    {
      config: FOR_DEVICES,
      onRequest: authenticate,
      schema: { tags, summary: 'Look up the registration', params: RegistrationParams },
    },
    async (request) => deviceRegistrationJson(await registrar.lookup(whoOf(request))),
  )
}

function answer(reply: FastifyReply, result: RegistrationResult, poll: { scope: string; registrationId: string }) {
  if (result.retryAfter !== null) {
    const { scope, registrationId } = poll
    const operation = `/${encodeURIComponent(scope)}/registrations/${encodeURIComponent(registrationId)}/operations/${encodeURIComponent(result.operationId)}`
    void reply.code(202).header('location', operation).header('retry-after', String(result.retryAfter))
  }
  return reply.send(registrationResultJson(result))
}
