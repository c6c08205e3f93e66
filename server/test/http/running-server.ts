import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request as httpsRequest } from 'node:https'
import type { AgentOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { connect } from 'node:tls'
import type { TestContext } from 'node:test'
import { PathVerifier } from '@holdfast/pki'
import { Door } from '../../src/hub/authenticate.ts'
import { ensurePolicies } from '../../src/hub/access-policies.ts'
import { CertificateAuthorities } from '../../src/hub/certificate-authorities.ts'
import { Consumers } from '../../src/hub/consumers.ts'
import { Devices } from '../../src/hub/devices.ts'
import { Hubs } from '../../src/hub/hubs.ts'
import { Refusals } from '../../src/hub/refusals.ts'
import { Sessions } from '../../src/hub/sessions.ts'
import { Telemetry } from '../../src/hub/telemetry.ts'
import { TrustAnchors } from '../../src/hub/trust-anchors.ts'
import { serveHttp } from '../../src/http/api.ts'
import type { HttpParts } from '../../src/http/api.ts'
import { issueManagementToken } from '../../src/http/management/access.ts'
import { openLocalBus } from '../../src/local/bus.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { DEFAULT_HUB_POLICIES, DEFAULT_PROVISIONING_POLICIES } from '../../src/model/access-policy.ts'
import type { PolicyOwner } from '../../src/model/access-policy.ts'
import { parseHubName } from '../../src/model/ids.ts'
import type { ByteHead } from '../../src/net/byte-head.ts'
import { Listeners } from '../../src/net/listeners.ts'
import type { Bus } from '../../src/ports/bus.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { Registry } from '../../src/ports/registry.ts'
import type { TelemetryLog } from '../../src/ports/telemetry-log.ts'
import { AllocationWebhook } from '../../src/provisioning/allocation-webhook.ts'
import { Enrollments } from '../../src/provisioning/enrollments.ts'
import { loadIdScope } from '../../src/provisioning/id-scope.ts'
import { Registrar } from '../../src/provisioning/register.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { makeRoot, makeServer } from './certificates.ts'
import type { TestAuthority, TestIdentity } from './certificates.ts'

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

/** A whole server but for the byte heads, over real TLS on a free port of 127.0.0.1. */
export interface RunningServer {
  readonly port: number
  readonly idScope: string
  readonly token: string
  readonly serverRoot: TestAuthority
  readonly registry: Registry
  readonly telemetryLog: TelemetryLog
  readonly refusals: Refusals
  readonly devices: Devices
  readonly enrollments: Enrollments
  readonly authorities: CertificateAuthorities
  /** An agent that dials this server whatever host and port it is asked for, and checks the certificate for that host. */
  agent(options?: AgentOptions): Agent
  ask(path: string, ask?: Ask): Promise<Reply>
  /** Service connection string of a policy. */
  hubConnectionString(policy?: string): Promise<string>
  provisioningConnectionString(): Promise<string>
  /** ms that the server's clock is ahead of the real one. */
  skew: number
}

const CODE_LIFETIME_MS = 60_000

/** Byte heads are not under test here: a connection for one is closed. */
const CLOSED_HEAD: ByteHead = { accept: (stream: Duplex) => void stream.destroy(), close: async () => undefined }

export async function startServer(t: TestContext, limits: { requestsPerMinute?: number } = {}): Promise<RunningServer> {
  const cleanup: Cleanup = []
  t.after(async () => {
    for (const step of cleanup.toReversed()) await step()
  })
  const time = { skew: 0 }
  const domain = await openDomain(cleanup, { now: () => Date.now() + time.skew })
  const { registry, telemetryLog, refusals, devices, enrollments, authorities, random } = domain
  const serverRoot = await makeRoot('Test server root')
  const port = await listen(cleanup, domain, serverRoot, limits)
  const agent = agentsFor(cleanup, port, serverRoot)
  const plain = agent()
  return {
    port,
    idScope: domain.service.idScope,
    token: await issueManagementToken(registry.settings, random),
    serverRoot,
    registry,
    telemetryLog,
    refusals,
    devices,
    enrollments,
    authorities,
    agent,
    ask: (path, ask = {}) => {
      const { identity: own } = ask
      return send(path, ask, own === undefined ? plain : agent({ cert: own.cert, key: own.key, keepAlive: false }))
    },
    ...connectionStrings(registry),
    get skew() {
      return time.skew
    },
    set skew(ms: number) {
      time.skew = ms
    },
  }
}

/** Run in reverse when the test ends. */
type Cleanup = (() => unknown)[]

/** The domain on its real stores in a folder of its own. */
async function openDomain(cleanup: Cleanup, clock: Clock) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-http-'))
  cleanup.push(() => rm(folder, { recursive: true }))
  const bus = openLocalBus()
  const stores = await openSqliteStores({ folder, refusalCapacity: 1000, clock })
  cleanup.push(() => stores.close())
  const { registry, telemetryLog } = stores
  const random = { bytes: (size: number) => randomBytes(size) }
  const log = createLog({ level: 'silent' })
  const metrics = new Metrics()
  const hubs = new Hubs([
    { name: HUB, hosts: [HUB_HOST], partitions: 2 },
    { name: OTHER_HUB, hosts: [OTHER_HUB_HOST], partitions: 2 },
  ])
  for (const { name } of hubs.all())
    await ensurePolicies(registry, { kind: 'hub', hub: name }, DEFAULT_HUB_POLICIES, random)
  await ensurePolicies(registry, { kind: 'provisioning' }, DEFAULT_PROVISIONING_POLICIES, random)
  const anchors = new TrustAnchors({ registry, hubs, bus, clock })
  const sessions = new Sessions({ registry, bus, clock, log, metrics })
  cleanup.push(() => {
    sessions.close()
    anchors.close()
  })
  const verifier = new PathVerifier({ cacheSize: 100 })
  const refusals = new Refusals({ registry, bus, clock, random, metrics })
  const base = { registry, hubs, bus, clock, random, log, metrics, anchors, verifier, refusals, sessions }
  return { ...base, ...verbs(base, telemetryLog), ...(await provisioning(cleanup, base)), telemetryLog }
}

type Base = Pick<HttpParts, 'hubs' | 'clock' | 'random' | 'log' | 'metrics' | 'refusals' | 'sessions'> & {
  readonly registry: Registry
  readonly bus: Bus
  readonly anchors: TrustAnchors
  readonly verifier: PathVerifier
}

function verbs(base: Base, telemetryLog: TelemetryLog) {
  return {
    door: new Door({ ...base, provisioningHosts: [PROVISIONING_HOST] }),
    devices: new Devices(base),
    authorities: new CertificateAuthorities({ ...base, limit: 25, codeLifetimeMs: CODE_LIFETIME_MS }),
    telemetry: new Telemetry({ ...base, log: telemetryLog }),
    consumers: new Consumers({ ...base, log: telemetryLog }),
  }
}

async function provisioning(cleanup: Cleanup, base: Base) {
  const scope = await loadIdScope(base.registry.settings, base.random)
  const linkedHubs = base.hubs
    .all()
    .map(({ name, hosts }) => ({ hub: name, host: hosts[0] ?? '', weight: 1, latency: null }))
  const registrar = new Registrar({ ...base, scope, linkedHubs, webhook: new AllocationWebhook() })
  cleanup.push(() => registrar.close())
  const service = { idScope: scope, host: PROVISIONING_HOST, linkedHubs }
  return { registrar, enrollments: new Enrollments(base), service }
}

async function listen(
  cleanup: Cleanup,
  domain: Awaited<ReturnType<typeof openDomain>>,
  root: TestAuthority,
  limits: { requestsPerMinute?: number },
): Promise<number> {
  const names = [HUB_HOST, OTHER_HUB_HOST, PROVISIONING_HOST, 'localhost', '127.0.0.1'] as const
  const identity = await makeServer(root, [...names])
  const listeners = new Listeners({
    host: '127.0.0.1',
    ports: { mqtts: null, https: 0, amqps: null, amqp: null },
    material: { certificates: identity.cert, key: identity.key },
    limits: { connections: 500, unauthenticated: 200, unauthenticatedPerAddress: 200, handshakeSeconds: 5 },
    heads: { mqtt: CLOSED_HEAD, amqp: CLOSED_HEAD },
    metrics: domain.metrics,
    onRefusal: () => undefined,
  })
  cleanup.push(() => listeners.close(1000))
  const http = await serveHttp(listeners.https, {
    ...domain,
    policies: domain.registry.policies,
    settings: domain.registry.settings,
    ports: () => ({ mqtts: null, https: null, amqps: 5999, amqp: null }),
    accepting: () => true,
    retentionHours: 24,
    ...limits,
  })
  cleanup.push(() => http.close())
  return (await listeners.start()).https ?? 0
}

function agentsFor(cleanup: Cleanup, port: number, root: TestAuthority): RunningServer['agent'] {
  const agents: Agent[] = []
  cleanup.push(() => agents.forEach((each) => each.destroy()))
  return (options = {}) => {
    const made = new Agent({ keepAlive: true, ...options })
    agents.push(made)
    return Object.assign(made, {
      createConnection: (asked: AgentOptions & { host?: string }) =>
        connect({ ...asked, host: '127.0.0.1', port, servername: asked.host ?? HUB_HOST, ca: root.pem }),
    })
  }
}

function connectionStrings(
  registry: Registry,
): Pick<RunningServer, 'hubConnectionString' | 'provisioningConnectionString'> {
  const text = async (host: string, owner: PolicyOwner, name: string) => {
    const policy = await registry.policies.get(owner, name)
    return `HostName=${host};SharedAccessKeyName=${name};SharedAccessKey=${policy?.primaryKey ?? ''}`
  }
  return {
    hubConnectionString: (policy = 'iothubowner') => text(HUB_HOST, { kind: 'hub', hub: HUB }, policy),
    provisioningConnectionString: () => text(PROVISIONING_HOST, { kind: 'provisioning' }, 'provisioningserviceowner'),
  }
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
