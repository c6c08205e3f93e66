import { callApi } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'

interface AuthorityUse {
  readonly name: string | null
  readonly sha256: string | null
  readonly devices: number
  readonly connected: number
}

/** What ends with a CA, as a sentence. `wanted`: its name in the register or its SHA-256. */
export async function whatRestsOn(access: ServerAccess, hub: string, wanted: string): Promise<string> {
  const path = `/holdfast/v1/hubs/${encodeURIComponent(hub)}/authority-usage`
  const { value } = await callApi<{ value: readonly AuthorityUse[] }>(access, { method: 'GET', path })
  const found = value.find(({ name, sha256 }) => name === wanted || sha256 === wanted)
  const { devices, connected } = found ?? { devices: 0, connected: 0 }
  return `${count(devices)} ${devices === 1 ? 'rests' : 'rest'} on this CA at hub '${hub}', and ${connected} live ${connected === 1 ? 'connection' : 'connections'} with it: they are cut off at once.`
}

function count(devices: number): string {
  return devices === 1 ? '1 device' : `${devices} devices`
}
