import type { MessageProperties } from '../model/message.ts'
import { percentDecode } from './user-name.ts'

/** System properties by their key in the bag. Others of the `$.` space belong to the hub and are not taken from devices. */
const SYSTEM_KEYS: Readonly<Record<string, keyof MessageProperties>> = {
  '$.mid': 'messageId',
  '$.cid': 'correlationId',
  '$.uid': 'userId',
  '$.to': 'to',
  '$.ct': 'contentType',
  '$.ce': 'contentEncoding',
  '$.exp': 'expiry',
  '$.ctime': 'creationTime',
  '$.schema': 'messageSchema',
  '$.ifid': 'interfaceId',
  '$.sub': 'subject',
  '$.on': 'outputName',
}

export interface PropertyBag {
  readonly properties: MessageProperties
  readonly application: Readonly<Record<string, string>>
}

const EMPTY: PropertyBag = { properties: {}, application: {} }

/**
 * Reads `k=v&k=v…`, keys and values percent-encoded. A trailing `/` is dropped; a repeated key keeps its last value;
 * a key without `=` has the empty value. Bounded by the topic it came in.
 */
export function parsePropertyBag(text: string): PropertyBag {
  const bag = text.endsWith('/') ? text.slice(0, -1) : text
  if (bag === '') return EMPTY
  const properties: { -readonly [Key in keyof MessageProperties]: string } = {}
  const application: [key: string, value: string][] = []
  for (const pair of bag.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const key = percentDecode(equals < 0 ? pair : pair.slice(0, equals))
    const value = equals < 0 ? '' : percentDecode(pair.slice(equals + 1))
    const system = Object.hasOwn(SYSTEM_KEYS, key) ? SYSTEM_KEYS[key] : undefined
    if (system !== undefined) properties[system] = value
    else if (!key.startsWith('$.')) application.push([key, value])
  }
  // `fromEntries` makes own members of any name, `__proto__` included.
  return { properties, application: Object.fromEntries(application) }
}
