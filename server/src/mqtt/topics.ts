/** The topics of one identity; `{d}` is the device, `{m}` the module (MQTT names are compared byte by byte). */
export class DeviceTopics {
  readonly #telemetry: string
  readonly #own: readonly string[]

  constructor(deviceId: string, moduleId: string | null) {
    const identity = moduleId === null ? `devices/${deviceId}` : `devices/${deviceId}/modules/${moduleId}`
    this.#telemetry = `${identity}/messages/events`
    const own = [`${identity}/messages/devicebound/#`]
    if (moduleId !== null) own.push(`${identity}/inputs/#`, `${identity}/#`)
    this.#own = own
  }

  /** The property bag of a telemetry topic, or null for any other topic. */
  bagOf(topic: string): string | null {
    const prefix = this.#telemetry
    if (!topic.startsWith(prefix)) return null
    if (topic.length === prefix.length) return ''
    return topic[prefix.length] === '/' ? topic.slice(prefix.length + 1) : null
  }

  allowsFilter(filter: string): boolean {
    return SHARED_FILTERS.has(filter) || this.#own.includes(filter) || SINGLE_METHOD.test(filter)
  }
}

export const TWIN_RESPONSES = '$iothub/twin/res/#'

const SHARED_FILTERS: ReadonlySet<string> = new Set([
  TWIN_RESPONSES,
  '$iothub/twin/PATCH/properties/desired/#',
  '$iothub/methods/POST/#',
  '$iothub/credentials/res/#',
])

const SINGLE_METHOD = /^\$iothub\/methods\/POST\/[^/+#]+\/#$/

/** A request in the `$iothub` space: who asks puts `$rid` into the query and finds it in the answer's topic. */
export type HubRequest =
  | { readonly kind: 'twin-get'; readonly requestId: string }
  | { readonly kind: 'reported-patch'; readonly requestId: string }
  | { readonly kind: 'method-response' }

export function parseHubRequest(topic: string): HubRequest | null {
  const [path, query] = splitQuery(topic)
  if (/^\$iothub\/methods\/res\/\d+\/$/.test(path)) return { kind: 'method-response' }
  const requestId = queryValue(query, '$rid')
  if (requestId === null) return null
  if (path === '$iothub/twin/GET/') return { kind: 'twin-get', requestId }
  return path === '$iothub/twin/PATCH/properties/reported/' ? { kind: 'reported-patch', requestId } : null
}

/** A request to the provisioning service. `$rid` is opaque and echoed as it came. */
export type ProvisioningRequest =
  | { readonly kind: 'register'; readonly requestId: string }
  | { readonly kind: 'status'; readonly requestId: string; readonly operationId: string }

export const PROVISIONING_RESPONSES = '$dps/registrations/res/#'

export function parseProvisioningRequest(topic: string): ProvisioningRequest | null {
  const [path, query] = splitQuery(topic)
  const requestId = queryValue(query, '$rid')
  if (requestId === null) return null
  if (path === '$dps/registrations/PUT/iotdps-register/') return { kind: 'register', requestId }
  if (path !== '$dps/registrations/GET/iotdps-get-operationstatus/') return null
  const operationId = queryValue(query, 'operationId')
  return operationId === null ? null : { kind: 'status', requestId, operationId }
}

function splitQuery(topic: string): [path: string, query: string] {
  const mark = topic.indexOf('?')
  return mark < 0 ? [topic, ''] : [topic.slice(0, mark), topic.slice(mark + 1)]
}

/** As written, not decoded: request ids go back byte for byte. */
function queryValue(query: string, name: string): string | null {
  for (const pair of query.split('&')) {
    if (pair.startsWith(`${name}=`) && pair.length > name.length + 1) return pair.slice(name.length + 1)
  }
  return null
}
