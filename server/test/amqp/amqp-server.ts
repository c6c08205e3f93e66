import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpsServer } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { AmqpHead } from '../../src/amqp/head.ts'
import type { AmqpHeadParts } from '../../src/amqp/head.ts'
import { ensurePolicies } from '../../src/hub/registry/access-policies.ts'
import { Door } from '../../src/hub/door/authenticate.ts'
import { TrustWatch } from '../../src/hub/door/trust-watch.ts'
import { Holders } from '../../src/hub/holders.ts'
import { Consumers } from '../../src/hub/telemetry/consumers.ts'
import { Hubs } from '../../src/hub/hubs.ts'
import { Refusals } from '../../src/hub/refusals/refusals.ts'
import { TrustAnchors } from '../../src/hub/authorities/trust-anchors.ts'
import { openLocalBus } from '../../src/local/bus.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { DEFAULT_HUB_POLICIES } from '../../src/model/access-policy.ts'
import type { AccessPolicy } from '../../src/model/access-policy.ts'
import { parseDeviceId, parseHubName } from '../../src/model/ids.ts'
import type { HubEvent } from '../../src/model/message.ts'
import { gatherPeer, plainPeerOf } from '../../src/net/peer.ts'
import { SentChains } from '../../src/net/sent-chains.ts'
import { WebSocketUpgrades } from '../../src/net/websocket.ts'
import { AllocationWebhook } from '../../src/provisioning/allocation-webhook.ts'
import { loadIdScope } from '../../src/provisioning/id-scope.ts'
import { Registrar } from '../../src/provisioning/register.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { makeRoot, makeServer } from '../http/certificates.ts'
import { openTrust } from '../revocation/open-trust.ts'

export const HUB = parseHubName('hub1')
const random = { bytes: (count: number) => randomBytes(count) }

export type AmqpServer = Awaited<ReturnType<typeof startAmqpServer>>

/** The AMQP head on TLS and plain TCP with the real parts behind it, on a folder of its own. */
export async function startAmqpServer(options: Partial<AmqpHeadParts> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-amqp-'))
  const clock = { offset: 0, now: () => Date.now() + clock.offset }
  const stores = await openSqliteStores({
    keys: DATA_KEYS,
    folder: join(folder, 'data'),
    refusalCapacity: 1_000,
    clock,
  })
  const { registry, telemetryLog } = stores
  const bus = openLocalBus()
  const metrics = new Metrics()
  const log = createLog({ level: 'silent' })
  const hubs = new Hubs([{ name: HUB, hosts: ['hub1.test'], partitions: 4 }])
  await ensurePolicies(registry, { kind: 'hub', hub: HUB }, DEFAULT_HUB_POLICIES, random)
  const refusals = new Refusals({ registry, bus, clock, random, metrics })
  const anchors = new TrustAnchors({ registry, hubs, bus, clock })
  const { trust, close: closeTrust } = await openTrust({ registry, bus, clock, random, log })
  const holders = new Holders({ clock, log })
  const watch = new TrustWatch({ holders, trust, anchors, hubs, registry, bus, clock, log })
  const door = new Door({ hubs, registry, anchors, trust, refusals, holders, clock, provisioningHosts: ['localhost'] })
  const consumers = new Consumers({ hubs, registry, log: telemetryLog, clock })
  const scope = await loadIdScope(registry.settings, random)
  const linkedHubs = [{ hub: HUB, host: 'hub1.test', weight: 1, latency: null }]
  const shared = { hubs, registry, anchors, trust, refusals, holders, bus, clock, random, log, metrics }
  const registrar = new Registrar({ ...shared, scope, linkedHubs, webhook: new AllocationWebhook() })
  const heads = { door, hubs, consumers, registrar, holders, refusals, clock, log, metrics }
  const head = new AmqpHead({ ...heads, containerId: 'holdfast-test', port: () => 5671, ...options })
  const tls = await listenTls(head, folder)
  const plain = createTcpServer((socket) => head.accept(socket, plainPeerOf(socket), { passed: () => {} }))
  const plainPort = await listening(plain)
  const upgrades = new WebSocketUpgrades({ amqp: head, mqtt: head }, () => ({ passed: () => {} }))
  const https = createHttpsServer(tls.options)
  https.prependListener('secureConnection', (socket: TLSSocket) => gatherPeer(socket, 'https', new SentChains()))
  https.on('upgrade', (request, socket, firstBytes) => upgrades.handle(request, socket, firstBytes))
  const webSocketPort = await listening(https)

  const policy = async (name: string): Promise<AccessPolicy> => {
    const found = await registry.policies.get({ kind: 'hub', hub: HUB }, name)
    if (found === null) throw new Error(`no policy ${name}`)
    return found
  }
  return {
    head,
    hubs,
    registry,
    telemetryLog,
    consumers,
    registrar,
    refusals,
    anchors,
    bus,
    holders,
    watch,
    clock,
    scope,
    policy,
    random,
    port: tls.port,
    plainPort,
    webSocketPort,
    metrics,
    caFile: tls.caFile,
    ca: tls.ca,
    async connectionString(extra = '', policyName = 'service'): Promise<string> {
      const { name, primaryKey } = await policy(policyName)
      return `Endpoint=sb://localhost:${tls.port}/;SharedAccessKeyName=${name};SharedAccessKey=${primaryKey};EntityPath=hub1${extra}`
    },
    async plainConnectionString(): Promise<string> {
      const { name, primaryKey } = await policy('service')
      return `Endpoint=sb://localhost:${plainPort}/;SharedAccessKeyName=${name};SharedAccessKey=${primaryKey};EntityPath=hub1;UseDevelopmentEmulator=true`
    },
    /** Cuts every TLS connection, as a broken network does. */
    dropConnections(): void {
      for (const socket of tls.sockets) socket.destroy()
    },
    async close(): Promise<void> {
      await head.close(500)
      for (const server of [tls.server, plain, https]) await new Promise((resolve) => server.close(resolve))
      await registrar.close()
      watch.close()
      holders.close()
      anchors.close()
      closeTrust()
      await bus.close()
      await stores.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function listenTls(head: AmqpHead, folder: string) {
  const root = await makeRoot('Test Server Root')
  const identity = await makeServer(root, ['localhost', '127.0.0.1'])
  const caFile = join(folder, 'root.pem')
  await writeFile(caFile, root.pem)
  const options = { cert: identity.cert, key: identity.key, requestCert: true, rejectUnauthorized: false, ca: [] }
  const sockets = new Set<TLSSocket>()
  const server = createTlsServer(options, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    head.accept(socket, gatherPeer(socket, 'amqp', new SentChains()), { passed: () => {} })
  })
  server.on('tlsClientError', () => {})
  return { server, sockets, options, port: await listening(server), caFile, ca: root.pem }
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return (server.address() as AddressInfo).port
}

export function event(body: string | Buffer, extra: Partial<HubEvent> = {}): HubEvent {
  return {
    hub: HUB,
    deviceId: parseDeviceId('dev1'),
    moduleId: null,
    generationId: '638000000000000000',
    authMethod: '{"scope":"device","type":"x509Certificate","issuer":"external","acceptingIpFilterRule":null}',
    source: 'Telemetry',
    modelId: null,
    properties: { contentType: 'application/json', contentEncoding: 'utf-8' },
    application: {},
    body: Buffer.from(body),
    ...extra,
  }
}
