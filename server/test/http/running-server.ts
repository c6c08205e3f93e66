import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, request as httpsRequest } from 'node:https'
import type { AgentOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { TestContext } from 'node:test'
import { startServer as startApp } from '../../src/app.ts'
import type { Environment } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { parseHubName } from '../../src/model/ids.ts'
import type { TestIdentity } from './certificates.ts'

export const HUB_HOST = 'plant.test'
export const OTHER_HUB_HOST = 'depot.test'
export const PROVISIONING_HOST = 'dps.test'
export const HUB = parseHubName('plant')
export const OTHER_HUB = parseHubName('depot')

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** The body parsed, or undefined when it is empty. */
  // oxlint-disable-next-line typescript/no-explicit-any -- each assertion says what it expects to find
  readonly json: any
}

export interface Ask {
  readonly method?: string
  readonly host?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | object
  readonly identity?: TestIdentity
}

/** The real server on free ports of 127.0.0.1, with two hubs. */
export interface RunningServer {
  readonly port: number
  readonly amqpPort: number
  readonly idScope: string
  readonly token: string
  /** PEM of the root that signed the server's certificate. */
  readonly rootPem: string
  readonly folder: string
  /** An agent that dials this server whatever host and port it is asked for, and checks the certificate for that host. */
  agent(options?: AgentOptions): Agent
  ask(path: string, ask?: Ask): Promise<Reply>
  /** Asks as the operator. */
  operate(path: string, ask?: Ask): Promise<Reply>
  /** Service connection string of a policy of the first hub. */
  hubConnectionString(policy?: string): Promise<string>
  provisioningConnectionString(): Promise<string>
  /** Stops it before the test ends; what it acknowledged is in the folder. */
  stop(): Promise<void>
  /** ms that the server's clock is ahead of the real one. */
  skew: number
}

export async function startServer(
  t: TestContext,
  limits: { requestsPerMinute?: number } = {},
  {
    settings = {},
    environment = {},
    folder: kept,
  }: {
    settings?: object
    environment?: Environment
    /** What a server that was stopped has left, which is removed with the test that made it. */
    folder?: string
  } = {},
): Promise<RunningServer> {
  const folder = kept ?? (await mkdtemp(join(tmpdir(), 'holdfast-http-')))
  const time = { skew: 0 }
  const app = await startApp(configOf(folder, limits, settings), {
    clock: { now: () => Date.now() + time.skew },
    log: createLog({ level: 'silent' }),
    ...environment,
  })
  // What runs after a test runs in the order in which it was asked for.
  t.after(async () => {
    await app.close()
    if (kept === undefined) await rm(folder, { recursive: true })
  })
  const port = app.ports.https
  const rootPem = await readFile(app.rootFile ?? '', 'utf8')
  const token = (await readFile(app.managementTokenFile, 'utf8')).trim()
  const agent = agentsFor(t, port, rootPem)
  const plain = agent()
  const ask: RunningServer['ask'] = (path, asked = {}) => {
    const { identity } = asked
    const own = identity && agent({ cert: identity.cert, key: identity.key, keepAlive: false })
    return send(path, asked, own ?? plain)
  }
  const operate: RunningServer['operate'] = (path, asked = {}) =>
    ask(`/holdfast/v1${path}`, { ...asked, headers: { authorization: `Bearer ${token}`, ...asked.headers } })
  return {
    port,
    amqpPort: app.ports.amqp,
    idScope: app.idScope,
    token,
    rootPem,
    folder,
    agent,
    ask,
    operate,
    hubConnectionString: async (policy = 'iothubowner') =>
      connectionString(HUB_HOST, policy, await operate(`/hubs/${HUB}/policies`)),
    provisioningConnectionString: async () =>
      connectionString(PROVISIONING_HOST, 'provisioningserviceowner', await operate('/provisioning/policies')),
    stop: () => app.close(),
    get skew() {
      return time.skew
    },
    set skew(ms: number) {
      time.skew = ms
    },
  }
}

function configOf(folder: string, limits: { requestsPerMinute?: number }, settings: object) {
  return readConfig({
    ...settings,
    data: join(folder, 'data'),
    hubs: [
      { name: HUB, hosts: [HUB_HOST], partitions: 2 },
      { name: OTHER_HUB, hosts: [OTHER_HUB_HOST], partitions: 2 },
    ],
    provisioning: { hosts: [PROVISIONING_HOST] },
    listen: { address: '127.0.0.1', mqtt: 0, https: 0, amqp: 0 },
    limits: { verificationCodeMinutes: 1, ...limits },
  })
}

function agentsFor(t: TestContext, port: number, ca: string): RunningServer['agent'] {
  const agents: Agent[] = []
  t.after(() => agents.forEach((each) => each.destroy()))
  return (options = {}) => {
    const made = new Agent({ keepAlive: true, ...options })
    agents.push(made)
    return Object.assign(made, {
      createConnection: (asked: AgentOptions & { host?: string }) =>
        connect({ ...asked, host: '127.0.0.1', port, servername: asked.host ?? HUB_HOST, ca }),
    })
  }
}

function connectionString(host: string, name: string, policies: Reply): string {
  const { primaryKey } = policies.json.value.find((policy: { name: string }) => policy.name === name)
  return `HostName=${host};SharedAccessKeyName=${name};SharedAccessKey=${primaryKey}`
}

/** The service and device SDKs dial port 443 alone: an agent set on their inner client leads them here. */
export function lead(sdk: object, innerClient: string, agent: Agent): void {
  const inner = Reflect.get(sdk, innerClient) as { setOptions(options: object): void }
  inner.setOptions({ http: { agent } })
}

function send(path: string, ask: Ask, agent: Agent): Promise<Reply> {
  const { method = 'GET', host = HUB_HOST, headers = {}, body } = ask
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const isRaw = typeof body === 'string' || body instanceof Uint8Array || body === undefined
  const bytes = isRaw ? body : JSON.stringify(body)
  const request = httpsRequest({
    host,
    path,
    method,
    agent,
    headers: {
      ...(isRaw ? {} : { 'content-type': 'application/json; charset=utf-8' }),
      ...(bytes === undefined ? {} : { 'content-length': Buffer.byteLength(bytes) }),
      ...headers,
    },
  })
  request.on('error', reject)
  request.on('response', (response) => {
    const chunks: Buffer[] = []
    response.on('error', reject)
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8')
      const isJson = response.headers['content-type']?.includes('json') === true
      const json = isJson && text !== '' ? JSON.parse(text) : undefined
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json })
    })
  })
  request.end(bytes)
  return promise
}
