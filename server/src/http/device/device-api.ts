import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import type { AuthenticatedDevice, Door } from '../../hub/door/authenticate.ts'
import type { Telemetry } from '../../hub/telemetry/telemetry.ts'
import type { DeviceMessage } from '../../model/message.ts'
import { authorizationOf, hostOf } from '../authorization.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { Routes } from '../routes.ts'
import { FOR_DEVICES } from '../stated-access.ts'
import { BATCH_CONTENT_TYPE, messagesOfBatch } from './message-batch.ts'
import { headerPairs, messageFrom } from './message-headers.ts'

/** The size limit of a device-to-cloud message, and of a batch of them. */
const MESSAGE_BYTES = 256 * 1024
const tags = ['hub device API']

export interface DeviceApiParts {
  readonly door: Door
  readonly telemetry: Telemetry
}

/** Telemetry over HTTPS: each request proves itself by its client certificate or its token, and holds no session. */
export function deviceApi(routes: Routes, { door, telemetry }: DeviceApiParts): void {
  const senders = new WeakMap<FastifyRequest, AuthenticatedDevice>()

  // The body is the message, whatever its content type says.
  routes.removeAllContentTypeParsers()
  routes.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  routes.post(
    '/devices/:deviceId/messages/events',
    {
      config: FOR_DEVICES,
      bodyLimit: MESSAGE_BYTES,
      schema: { tags, summary: 'Send a message or a batch', params: Type.Object({ deviceId: Type.String() }) },
      onRequest: async (request) => {
        const { deviceId } = request.params
        const claim = {
          host: hostOf(request),
          deviceId,
          moduleId: null,
          token: authorizationOf(request),
          modelId: null,
        }
        senders.set(request, await door.device(claim, peerOfRequest(request)))
      },
    },
    async (request, reply) => {
      const sender = senders.get(request)
      if (sender === undefined) throw new HubError('internal', 'A message came in without its sender.')
      await Promise.all(messagesOf(request).map((message) => telemetry.send(sender, message)))
      return reply.code(204).send()
    },
  )
}

function messagesOf(request: FastifyRequest): readonly DeviceMessage[] {
  const body = request.body instanceof Uint8Array ? request.body : new Uint8Array()
  const contentType = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (contentType === BATCH_CONTENT_TYPE) return messagesOfBatch(body)
  return [messageFrom(headerPairs(request.raw.rawHeaders), body)]
}
