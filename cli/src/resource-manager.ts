import { CommandError } from './command-error.ts'
import { callApi } from './server-access.ts'
import type { ServerAccess } from './server-access.ts'

/** Holdfast has one owner, so the subscription and the resource group of the resource manager API are just words. */
const SCOPE = '/subscriptions/holdfast/resourceGroups/holdfast/providers/Microsoft.Devices'

/** A registered CA as the resource manager API shows it. */
export interface AuthorityResource {
  readonly name: string
  readonly etag: string
  readonly properties: {
    readonly subject: string
    /** RFC 1123. */
    readonly expiry: string
    readonly created: string
    readonly updated: string
    /** SHA-1 of the DER, upper-case hex. */
    readonly thumbprint: string
    readonly isVerified: boolean
    readonly verificationCode?: string
    readonly certificate?: string
  }
}

export interface HubResource {
  readonly name: string
  readonly properties: {
    readonly hostName: string
    readonly eventHubEndpoints: {
      readonly events: { readonly endpoint: string; readonly path: string; readonly partitionCount: number }
    }
  }
}

export interface SharedAccessKey {
  readonly keyName: string
  readonly primaryKey: string
}

/** The hub called `name`, or the only one. */
export async function findHub(access: ServerAccess, name: string | undefined): Promise<HubResource> {
  if (name !== undefined)
    return callApi(access, { method: 'GET', path: `${SCOPE}/IotHubs/${encodeURIComponent(name)}` })
  const { value } = await callApi<{ value: HubResource[] }>(access, { method: 'GET', path: `${SCOPE}/IotHubs` })
  const [hub, ...others] = value
  if (!hub || others.length > 0)
    throw new CommandError(
      `this server holds ${value.length} hubs: name one with --hub (${value.map((each) => each.name).join(', ')})`,
      2,
    )
  return hub
}

/** The hub whose register of CAs the provisioning service shares: the first. */
export async function homeHub(access: ServerAccess): Promise<HubResource> {
  const { value } = await callApi<{ value: [HubResource, ...HubResource[]] }>(access, {
    method: 'GET',
    path: `${SCOPE}/IotHubs`,
  })
  return value[0]
}

export function hubKey(access: ServerAccess, hub: string, policy: string): Promise<SharedAccessKey> {
  return callApi(access, {
    method: 'POST',
    path: `${SCOPE}/IotHubs/${encodeURIComponent(hub)}/IotHubKeys/${encodeURIComponent(policy)}/listkeys`,
  })
}

/** A server has one provisioning service. */
export async function provisioningKey(access: ServerAccess, policy: string): Promise<SharedAccessKey> {
  const services = `${SCOPE}/provisioningServices`
  const { value } = await callApi<{ value: { name: string }[] }>(access, { method: 'GET', path: services })
  const name = encodeURIComponent(value[0]?.name ?? '')
  return callApi(access, { method: 'POST', path: `${services}/${name}/keys/${encodeURIComponent(policy)}/listkeys` })
}

export async function listAuthorities(access: ServerAccess, hub: string): Promise<readonly AuthorityResource[]> {
  return (await callApi<{ value: AuthorityResource[] }>(access, { method: 'GET', path: authorities(hub) })).value
}

export function getAuthority(access: ServerAccess, hub: string, name: string): Promise<AuthorityResource> {
  return callApi(access, { method: 'GET', path: authority(hub, name) })
}

/** Without `etag` the name must be new. */
export function putAuthority(
  access: ServerAccess,
  hub: string,
  name: string,
  certificate: Uint8Array,
): Promise<AuthorityResource> {
  const body = { properties: { certificate: Buffer.from(certificate).toString('base64') } }
  return callApi(access, { method: 'PUT', path: authority(hub, name), body })
}

export function makeVerificationCode(
  access: ServerAccess,
  hub: string,
  name: string,
  etag: string,
): Promise<AuthorityResource> {
  return callApi(access, {
    method: 'POST',
    path: `${authority(hub, name)}/generateVerificationCode`,
    headers: { 'if-match': etag },
  })
}

export function verifyAuthority(
  access: ServerAccess,
  hub: string,
  name: string,
  etag: string,
  proof: Uint8Array,
): Promise<AuthorityResource> {
  const body = { certificate: Buffer.from(proof).toString('base64') }
  return callApi(access, {
    method: 'POST',
    path: `${authority(hub, name)}/verify`,
    headers: { 'if-match': etag },
    body,
  })
}

export function deleteAuthority(access: ServerAccess, hub: string, name: string, etag: string): Promise<null> {
  return callApi(access, { method: 'DELETE', path: authority(hub, name), headers: { 'if-match': etag } })
}

function authorities(hub: string): string {
  return `${SCOPE}/IotHubs/${encodeURIComponent(hub)}/certificates`
}

function authority(hub: string, name: string): string {
  return `${authorities(hub)}/${encodeURIComponent(name)}`
}
