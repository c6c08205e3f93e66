import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { HubError } from '../../errors.ts'
import type { DeviceMessage } from '../../model/message.ts'
import { parseJsonBody } from '../../model/json-body.ts'
import { messageFrom } from './message-headers.ts'

export const BATCH_CONTENT_TYPE = 'application/vnd.microsoft.iothub.json'
const MAX_MESSAGES = 500

const Batch = Compile(
  Type.Array(
    Type.Object({
      body: Type.String(),
      /** The Node SDK leaves it out and sends base64. */
      base64Encoded: Type.Optional(Type.Boolean()),
      properties: Type.Optional(Type.Record(Type.String(), Type.String())),
    }),
    { minItems: 1, maxItems: MAX_MESSAGES },
  ),
)

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

/** Reads a batch of 1 to 500 messages; one bad message refuses them all, so that none is half accepted. */
export function messagesOfBatch(bytes: Uint8Array): readonly DeviceMessage[] {
  const batch = parseJsonBody(bytes)
  if (!Batch.Check(batch))
    throw new HubError(
      'argument-invalid',
      `A batch is a JSON array of 1 to ${MAX_MESSAGES} objects with a text 'body' and text 'properties'.`,
    )
  return batch.map(({ body, base64Encoded = true, properties = {} }) =>
    messageFrom(Object.entries(properties), base64Encoded ? fromBase64(body) : Buffer.from(body, 'utf8')),
  )
}

function fromBase64(text: string): Buffer {
  if (!BASE64.test(text) || text.length % 4 === 1)
    throw new HubError(
      'argument-invalid',
      "A message 'body' of the batch is not base64; else send base64Encoded: false.",
    )
  return Buffer.from(text, 'base64')
}
