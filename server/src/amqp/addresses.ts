/** What an AMQP link address can mean here. Fixed words match in any case, names and ids keep theirs. */
export type LinkAddress =
  | { readonly kind: 'cbs' }
  | { readonly kind: 'management'; readonly entity: string | null }
  | { readonly kind: 'partition'; readonly entity: string; readonly group: string; readonly partition: string }
  | { readonly kind: 'registration'; readonly scope: string; readonly registrationId: string }
  /** The service's name for its event stream at the hub's own host: answered with a redirect. */
  | { readonly kind: 'hub-events'; readonly rest: string }
  /** Device and service links of the hub itself. */
  | { readonly kind: 'hub' }
  | { readonly kind: 'unknown' }

const MAX_ADDRESS = 1_024

/** Takes relative and absolute (`amqps://host/…`) addresses, with or without a leading slash. */
export function parseAddress(text: string | null | undefined): LinkAddress {
  if (typeof text !== 'string' || text.length > MAX_ADDRESS) return { kind: 'unknown' }
  const segments = pathSegments(text)
  if (segments === null) return { kind: 'unknown' }
  const [first = '', , third = '', , fifth = ''] = segments
  const words = segments.map((segment) => segment.toLowerCase())
  if (segments.length === 1 && words[0] === '$cbs') return { kind: 'cbs' }
  if (segments.length === 1 && words[0] === '$management') return { kind: 'management', entity: null }
  if (segments.length === 2 && words[1] === '$management') return { kind: 'management', entity: first }
  if (segments.length === 3 && words[1] === 'registrations')
    return { kind: 'registration', scope: first, registrationId: third }
  if (segments.length === 5 && words[1] === 'consumergroups' && words[3] === 'partitions')
    return { kind: 'partition', entity: first, group: third, partition: fifth }
  if (words[0] === 'messages' && words[1] === 'events') return { kind: 'hub-events', rest: segments.slice(2).join('/') }
  if (words[0] === 'devices' || words[0] === 'messages') return { kind: 'hub' }
  return { kind: 'unknown' }
}

/**
 * The path of an address or token audience, segment by segment and percent-decoded; null when a segment is empty or not
 * decodable. `sb://host:port/hub/ConsumerGroups/…` and `/hub/ConsumerGroups/…` have the same path.
 */
export function pathSegments(text: string): readonly string[] | null {
  const path = text.replace(/^[a-z]{1,8}:\/\/[^/]{0,300}/i, '').replace(/^\/|\/$/g, '')
  if (path === '') return []
  try {
    const segments = path.split('/').map(decodeURIComponent)
    return segments.includes('') ? null : segments
  } catch {
    return null
  }
}
