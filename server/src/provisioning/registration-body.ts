import { HubError } from '../errors.ts'
import type { HubErrorCode } from '../errors.ts'
import type { Finding } from '../hub/findings/finding.ts'
import { finding } from '../hub/findings/finding.ts'
import { printable } from '../model/ids.ts'
import { parseJsonBody } from '../model/json-body.ts'
import type { JsonObject, JsonValue } from '../model/twin.ts'

/** Bytes: the service's documented limit of a registration message, over whichever protocol. */
export const REGISTRATION_BYTES = 96 * 1024

export interface RegistrationBody {
  /** Custom data for an allocation webhook. */
  readonly payload?: JsonValue
}

/** What is wrong with a body. It is the device's own making, so that the device may be told. */
export class BodyFlaw {
  readonly found: Finding
  readonly code: HubErrorCode

  constructor(found: Finding, code: HubErrorCode) {
    this.found = found
    this.code = code
  }
}

/** No bytes at all are a registration without custom data, as one SDK sends it. */
export function parseRegistrationBody(bytes: Uint8Array): JsonObject | BodyFlaw {
  if (bytes.length > REGISTRATION_BYTES) {
    const message = `The body of a registration has at most ${REGISTRATION_BYTES} bytes; this one has ${bytes.length}.`
    return new BodyFlaw(finding('request-too-large', message), 'message-too-large')
  }
  const value = parseJson(bytes)
  if (value instanceof BodyFlaw) return value
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
  return malformed('The body of a registration is not a JSON object.')
}

/** A device registers itself alone; `presentedId` is the id that it has proven. */
export function judgeRegistrationBody(
  { registrationId: named, payload }: JsonObject,
  presentedId: string,
): RegistrationBody | BodyFlaw {
  const isOwn = typeof named === 'string' && named.toLowerCase() === presentedId.toLowerCase()
  if (named !== undefined && named !== null && !isOwn) {
    const message = `The body asks for another registration id than '${printable(presentedId)}', which connected.`
    const remedy = 'Send the registration id that the device connects with, or none.'
    return new BodyFlaw(finding('registration-id-mismatch', message, { remedy }), 'unauthorized')
  }
  return payload === undefined ? {} : { payload }
}

function parseJson(bytes: Uint8Array): JsonValue | BodyFlaw {
  try {
    return parseJsonBody(bytes) ?? {}
  } catch (error) {
    if (error instanceof HubError) return malformed(error.message)
    throw error
  }
}

function malformed(message: string): BodyFlaw {
  return new BodyFlaw(finding('request-malformed', message), 'format-invalid')
}
