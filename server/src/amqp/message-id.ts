import type { Message } from './rhea.ts'
import { types } from './rhea.ts'

/** The reply's correlation-id: the request's message-id, else its correlation-id, in the AMQP type that it came in. */
export function messageIdOf(request: Message): { correlation_id?: never } | { correlation_id: string } {
  return correlation(request.message_id ?? request.correlation_id)
}

/** The same correlation-id again. */
export function correlation(id: unknown): { correlation_id?: never } | { correlation_id: string } {
  if (id === undefined || id === null) return {}
  // rhea reads uuids and binaries alike into buffers, and longs of more than 53 bits too; it writes what is wrapped.
  const typed = Buffer.isBuffer(id) ? typedBytes(id) : id
  return { correlation_id: typed as string }
}

function typedBytes(id: Buffer): unknown {
  if (id.length === 16) return types.wrap_uuid(id)
  return id.length === 8 ? types.wrap_ulong(id) : types.wrap_binary(id)
}
