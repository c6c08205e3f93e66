import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import type { Refusal } from '../../src/model/refusal.ts'
import { makeProof } from '../http/certificates.ts'
import type { TestAuthority } from '../http/certificates.ts'

/** What a server tells of itself once it listens. */
export interface Reachable {
  readonly ports: { readonly mqtt: number; readonly https: number; readonly amqp: number }
  readonly idScope: string
  readonly rootFile: string | null
  readonly managementTokenFile: string
}

export interface Key {
  readonly keyName: string
  readonly primaryKey: string
}

const RESOURCES = '/subscriptions/any/resourceGroups/any/providers/Microsoft.Devices'
const REFUSAL_WAIT_SECONDS = 20

/** Steers a running server from outside, by its HTTP APIs and nothing else. */
export class Operator {
  /** PEM of the root that signed the server certificate. */
  readonly ca: string
  readonly host: string
  readonly ports: Reachable['ports']
  readonly idScope: string
  /** Of the management API. */
  readonly token: string
  readonly #agent: Agent

  constructor(server: Reachable, host: string) {
    this.ca = readFileSync(server.rootFile ?? '', 'utf8')
    this.host = host
    this.ports = server.ports
    this.idScope = server.idScope
    this.token = readFileSync(server.managementTokenFile, 'utf8').trim()
    this.#agent = new Agent({ ca: this.ca, keepAlive: true })
  }

  /** @throws for every answer that is no success. */
  call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const text = body === undefined ? undefined : JSON.stringify(body)
    const outgoing = request({
      method,
      path,
      agent: this.#agent,
      host: this.host,
      port: this.ports.https,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        ...headers,
      },
    })
    outgoing.on('error', reject)
    outgoing.on('response', (answer) => {
      let received = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => (received += chunk))
      answer.on('end', () => {
        if ((answer.statusCode ?? 500) >= 300) reject(new Error(`${method} ${path}: ${answer.statusCode} ${received}`))
        else resolve((received === '' ? null : JSON.parse(received)) as T)
      })
    })
    outgoing.end(text)
    return promise
  }

  /** Uploads a CA: it authenticates nobody yet. Returns its etag. */
  async uploadAuthority(hub: string, name: string, authority: TestAuthority): Promise<string> {
    const body = { properties: { certificate: authority.der.toString('base64') } }
    const { etag } = await this.call<{ etag: string }>('PUT', certificatePath(hub, name), body)
    return etag
  }

  /** Uploads a CA and proves that its key is at hand. */
  async registerAuthority(hub: string, name: string, authority: TestAuthority): Promise<void> {
    const path = certificatePath(hub, name)
    const etag = await this.uploadAuthority(hub, name, authority)
    const coded = await this.call<{ etag: string; properties: { verificationCode: string } }>(
      'POST',
      `${path}/generateVerificationCode`,
      undefined,
      { 'if-match': etag },
    )
    const proof = await makeProof(authority, coded.properties.verificationCode)
    const body = { certificate: proof.toString('base64') }
    await this.call('POST', `${path}/verify`, body, { 'if-match': coded.etag })
  }

  createDevice(hub: string, id: string, authentication: object = { type: 'certificateAuthority' }): Promise<object> {
    return this.call('PUT', devicePath(hub, id), { authentication })
  }

  device(hub: string, id: string): Promise<{ connectionState: string; status: string }> {
    return this.call('GET', devicePath(hub, id))
  }

  setStatus(hub: string, id: string, status: 'enabled' | 'disabled'): Promise<object> {
    return this.call('PATCH', devicePath(hub, id), { status })
  }

  enroll(registrationId: string, body: object): Promise<object> {
    return this.call('PUT', `/holdfast/v1/enrollments/${encodeURIComponent(registrationId)}`, body)
  }

  enrollGroup(groupId: string, body: object): Promise<object> {
    return this.call('PUT', `/holdfast/v1/enrollment-groups/${encodeURIComponent(groupId)}`, body)
  }

  hubKey(hub: string, policy: string): Promise<Key> {
    return this.call('POST', `${RESOURCES}/IotHubs/${hub}/IotHubKeys/${policy}/listkeys`)
  }

  provisioningKey(policy: string): Promise<Key> {
    return this.call('POST', `${RESOURCES}/provisioningServices/dps/keys/${policy}/listkeys`)
  }

  /** For the Event Hubs SDK, at the endpoint that the hub tells. */
  async eventsConnectionString(hub: string): Promise<string> {
    const { properties } = await this.call<{ properties: { eventHubEndpoints: { events: { endpoint: string } } } }>(
      'GET',
      `${RESOURCES}/IotHubs/${hub}`,
    )
    const { keyName, primaryKey } = await this.hubKey(hub, 'service')
    const { endpoint } = properties.eventHubEndpoints.events
    return `Endpoint=${endpoint};SharedAccessKeyName=${keyName};SharedAccessKey=${primaryKey};EntityPath=${hub}`
  }

  /** Where the list of refusals stands now. */
  async refusalsUntilNow(): Promise<number> {
    return (await this.call<{ next: number }>('GET', '/holdfast/v1/refusals?limit=1')).next
  }

  /** The newest refusal that fits, as soon as it is stored: they are written in batches. */
  async refusal(filter: { identity?: string; rule?: string; hub?: string }, after = 0): Promise<Refusal> {
    const paging = { after: String(after), limit: '1', wait: String(REFUSAL_WAIT_SECONDS) }
    const query = new URLSearchParams({ ...filter, ...paging })
    const { value } = await this.call<{ value: Refusal[] }>('GET', `/holdfast/v1/refusals?${query.toString()}`)
    const [newest] = value
    if (!newest) throw new Error(`nothing was refused with ${query.toString()}`)
    return newest
  }

  close(): void {
    this.#agent.destroy()
  }
}

function certificatePath(hub: string, name: string): string {
  return `${RESOURCES}/IotHubs/${hub}/certificates/${name}`
}

function devicePath(hub: string, id: string): string {
  return `/holdfast/v1/hubs/${hub}/devices/${encodeURIComponent(id)}`
}
