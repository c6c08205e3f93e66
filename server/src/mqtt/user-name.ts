/** Who a CONNECT speaks for, read from its user name; nothing of it is proven yet. */
export type UserName =
  | {
      readonly kind: 'hub'
      readonly host: string
      readonly deviceId: string
      readonly moduleId: string | null
      readonly modelId: string | null
    }
  | { readonly kind: 'provisioning'; readonly scope: string; readonly registrationId: string }

/** Parameters after the id; the SDKs send three or four. */
const MAX_PARAMETERS = 32

/**
 * Reads the user name leniently, since it has been written in many ways: `{host}/{clientId}`, then nothing, `/`,
 * `/?api-version=…` or `/api-version=…`, for the hub; `{scope}/registrations/{id}/api-version=…` for provisioning. A hub
 * wins when the first part is the name of one. Null: the id in the user name is not the client id, or there is none.
 * Ids may hold `?` and `=`, so the client id says where the id ends.
 */
export function parseUserName(text: string, clientId: string, isHub: (host: string) => boolean): UserName | null {
  const slash = text.indexOf('/')
  const first = slash < 0 ? text : text.slice(0, slash)
  const rest = slash < 0 ? '' : text.slice(slash + 1)
  if (clientId === '' || first === '') return null
  const registration = isHub(first) ? null : /^registrations\/([^/]+)(?:\/|$)/.exec(rest)?.[1]
  if (registration !== undefined && registration !== null) {
    const same = registration.toLowerCase() === clientId.toLowerCase()
    return same ? { kind: 'provisioning', scope: first, registrationId: registration } : null
  }
  const [deviceId = '', moduleId = null, ...more] = clientId.split('/')
  if (!rest.startsWith(clientId) || !/^(?:$|[/?])/.test(rest.slice(clientId.length)) || more.length > 0) return null
  const parameters = parseParameters(rest.slice(clientId.length))
  return { kind: 'hub', host: first, deviceId, moduleId, modelId: parameters.get('model-id') ?? null }
}

/** The id as far as the user name tells one, for the record of a refusal. */
export function claimedIdentity(userName: string | null, clientId: string): string {
  return clientId !== '' ? clientId : (userName ?? '')
}

function parseParameters(text: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const pair of text.replace(/^\/?\??/, '').split('&', MAX_PARAMETERS)) {
    const equals = pair.indexOf('=')
    if (equals > 0) parameters.set(pair.slice(0, equals), percentDecode(pair.slice(equals + 1)))
  }
  return parameters
}

/** Percent-decoding as the device SDKs mean it: `+` is a plus, and text that is not encoded at all stays as it is. */
export function percentDecode(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    // A stray `%`: an SDK with encoding switched off sent raw text.
    return text
  }
}
