import { Type } from 'typebox'
import type { Static } from 'typebox'
import type { BulkOperation, BulkResult } from '../../hub/registry/devices.ts'
import { parseIfMatch } from '../../model/etag.ts'
import type { JsonObject } from '../../model/twin.ts'
import { AuthenticationBody, CapabilitiesBody } from './device-json.ts'
import { hubErrorName } from './hub-failure.ts'

const AnyObject = Type.Unsafe<JsonObject>(Type.Record(Type.String(), Type.Unknown()))
const maybeText = Type.Optional(Type.Union([Type.String(), Type.Null()]))

const BulkItem = Type.Object({
  id: Type.String({ maxLength: 512 }),
  importMode: Type.String({ maxLength: 64 }),
  /** SDKs spell it in two ways. */
  etag: maybeText,
  eTag: maybeText,
  moduleId: maybeText,
  status: maybeText,
  statusReason: maybeText,
  authentication: Type.Optional(Type.Union([AuthenticationBody, Type.Null()])),
  capabilities: Type.Optional(Type.Union([CapabilitiesBody, Type.Null()])),
  tags: Type.Optional(Type.Union([AnyObject, Type.Null()])),
  properties: Type.Optional(
    Type.Union([Type.Object({ desired: Type.Optional(Type.Union([AnyObject, Type.Null()])) }), Type.Null()]),
  ),
})

export const BulkBody = Type.Array(BulkItem, { minItems: 1, maxItems: 100 })

export function toBulkOperations(items: Static<typeof BulkBody>): BulkOperation[] {
  return items.map(({ id, importMode, etag, eTag, tags, properties, moduleId: _moduleId, ...spec }) => {
    const tag = etag ?? eTag
    const desired = properties?.desired
    return {
      mode: importMode,
      expected: tag ? parseIfMatch(tag) : null,
      spec: { ...spec, deviceId: id, ...(tags && { tags }), ...(desired && { desired }) },
    }
  })
}

export function bulkResultJson({ isSuccessful, errors }: BulkResult) {
  return {
    isSuccessful,
    errors: errors.map(({ deviceId, mode, error }) => ({
      deviceId,
      errorCode: hubErrorName(error.code),
      errorStatus: error.message,
      moduleId: '',
      operation: mode,
    })),
    warnings: [],
  }
}
