import { HubError } from '../../errors.ts'
import { printable } from '../../model/ids.ts'
import type { DeviceMessage, MessageProperties } from '../../model/message.ts'

type SystemProperty = keyof MessageProperties

/** Header names, lower case, of the properties that a device may set on a message. */
const SYSTEM_HEADERS: ReadonlyMap<string, SystemProperty> = new Map([
  ['iothub-messageid', 'messageId'],
  ['iothub-correlationid', 'correlationId'],
  ['iothub-userid', 'userId'],
  ['iothub-to', 'to'],
  ['iothub-ack', 'ack'],
  ['iothub-expiry', 'expiry'],
  ['iothub-contenttype', 'contentType'],
  ['iothub-contentencoding', 'contentEncoding'],
  ['iothub-creationtimeutc', 'creationTime'],
  ['iothub-messageschema', 'messageSchema'],
  ['iothub-interface-id', 'interfaceId'],
  ['dt-subject', 'subject'],
])

const APPLICATION_PREFIX = 'iothub-app-'

/** A message from its properties in header form; names are compared without case, application keys keep theirs. */
export function messageFrom(headers: Iterable<readonly [string, string]>, body: Uint8Array): DeviceMessage {
  const properties: Partial<Record<SystemProperty, string>> = {}
  const application: [string, string][] = []
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    const system = SYSTEM_HEADERS.get(lower)
    if (system !== undefined) properties[system] = system === 'expiry' ? isoTime(value) : value
    else if (lower.startsWith(APPLICATION_PREFIX)) application.push([name.slice(APPLICATION_PREFIX.length), value])
  }
  return { properties, application: Object.fromEntries(application), body }
}

/** Name and value pairs of Node's flat list, which unlike its object keeps the spelling that the device chose. */
export function* headerPairs(rawHeaders: readonly string[]): Generator<readonly [string, string]> {
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) yield [rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '']
}

/** Node's SDK sends `Date.toString()` text, others ISO 8601. */
function isoTime(text: string): string {
  const time = Date.parse(text)
  if (Number.isNaN(time))
    throw new HubError('argument-invalid', `'${printable(text)}' in IoTHub-Expiry is not a time; send ISO 8601.`)
  return new Date(time).toISOString()
}
