import { CommandError } from '../command-error.ts'

/** The parts of `Endpoint=sb://host[:port]/;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…`. */
export interface EventHubAddress {
  readonly host: string
  readonly port: number
  readonly keyName: string
  readonly key: string
  readonly entity: string
}

export function parseEventHubConnectionString(text: string): EventHubAddress {
  const parts = new Map(
    text
      .split(';')
      .filter(Boolean)
      .map((part) => {
        const at = part.indexOf('=')
        return [part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim()] as const
      }),
  )
  const endpoint = URL.parse(parts.get('endpoint') ?? '')
  const keyName = parts.get('sharedaccesskeyname')
  const key = parts.get('sharedaccesskey')
  const entity = parts.get('entitypath')
  if (!endpoint?.hostname || !keyName || !key || !entity) {
    throw new CommandError(
      'the connection string needs Endpoint=sb://host/;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…',
      2,
    )
  }
  return { host: endpoint.hostname, port: Number(endpoint.port || 5671), keyName, key, entity }
}

export function formatEventHubConnectionString(address: EventHubAddress): string {
  const port = address.port === 5671 ? '' : `:${address.port}`
  return `Endpoint=sb://${address.host}${port}/;SharedAccessKeyName=${address.keyName};SharedAccessKey=${address.key};EntityPath=${address.entity}`
}
