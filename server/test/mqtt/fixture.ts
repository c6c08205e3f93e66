import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { CertificateAuthorities } from '../../src/hub/authorities/certificate-authorities.ts'
import { Door } from '../../src/hub/door/authenticate.ts'
import { Devices } from '../../src/hub/registry/devices.ts'
import { Hubs } from '../../src/hub/hubs.ts'
import { Refusals } from '../../src/hub/refusals/refusals.ts'
import type { Revocations } from '../../src/hub/revocation/revocations.ts'
import { TrustWatch } from '../../src/hub/door/trust-watch.ts'
import { Holders } from '../../src/hub/holders.ts'
import { Sessions } from '../../src/hub/sessions/sessions.ts'
import { Telemetry } from '../../src/hub/telemetry/telemetry.ts'
import { TrustAnchors } from '../../src/hub/authorities/trust-anchors.ts'
import { openLocalBus } from '../../src/local/bus.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import type { Refusal } from '../../src/model/refusal.ts'
import { parseHubName } from '../../src/model/ids.ts'
import type { HubEvent, StoredEvent } from '../../src/model/message.ts'
import { MqttHead } from '../../src/mqtt/head.ts'
import type { MqttParts } from '../../src/mqtt/parts.ts'
import { Listeners } from '../../src/net/listeners.ts'
import type { ListenerPorts } from '../../src/net/listeners.ts'
import type { TelemetryLog } from '../../src/ports/telemetry-log.ts'
import { AllocationWebhook } from '../../src/provisioning/allocation-webhook.ts'
import { Enrollments } from '../../src/provisioning/enrollments.ts'
import { Registrar } from '../../src/provisioning/register.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { makeDevice, makeIntermediate, makeRoot, makeServer } from '../http/certificates.ts'
import { openTrust } from '../revocation/open-trust.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'

export const HUB = parseHubName('localhost')
export const SCOPE = '0ne00000001'
export const ANY = { kind: 'any' } as const
const PARTITIONS = 4

/** A hub and a provisioning service behind the real listeners, with the MQTT head; everything real but the failures. */
export interface Fixture {
  readonly ports: ListenerPorts
  readonly listeners: Listeners
  readonly head: MqttHead
  readonly devices: Devices
  readonly sessions: Sessions
  readonly revocations: Revocations
  readonly enrollments: Enrollments
  readonly serverRoot: TestAuthority
  /** Verified at the hub; signs the intermediate under which `device` makes certificates. */
  readonly deviceRoot: TestAuthority
  readonly intermediate: TestAuthority
  /** A device known to the hub, with a certificate whose chain is complete. */
  device(id: string): Promise<TestIdentity>
  /** A certificate alone: the hub does not know the device. */
  identity(id: string): Promise<TestIdentity>
  dial(identity: Pick<TestIdentity, 'cert' | 'key'> | null, options?: ConnectionOptions): Promise<TLSSocket>
  events(): Promise<readonly StoredEvent[]>
  /** Resolves with the refusals stored so far, newest first. */
  refusals(): Promise<readonly Refusal[]>
  /** Replaces how the log appends: an injected fault. */
  interceptAppend(
    append:
      | ((event: HubEvent, real: () => ReturnType<TelemetryLog['append']>) => ReturnType<TelemetryLog['append']>)
      | null,
  ): void
  close(): Promise<void>
}

export async function startFixture(options: { connectSeconds?: number } = {}): Promise<Fixture> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-mqtt-'))
  const clock = { now: () => Date.now() }
  const random = { bytes: (count: number) => randomBytes(count) }
  const log = createLog({ level: 'fatal' })
  const metrics = new Metrics()
  const stores = await openSqliteStores({ keys: DATA_KEYS, folder, refusalCapacity: 1_000, clock })
  const { registry, telemetryLog } = stores
  const bus = openLocalBus()
  const hubs = new Hubs([{ name: HUB, hosts: ['localhost'], partitions: PARTITIONS }])
  const { revocations, trust, close: closeTrust } = await openTrust({ registry, bus, clock, random, log })
  const anchors = new TrustAnchors({ registry, hubs, bus, clock })
  const refusals = new Refusals({ registry, bus, clock, random, metrics })
  const holders = new Holders({ clock, log })
  const sessions = new Sessions({ registry, holders, bus, clock, log, metrics })
  const watch = new TrustWatch({ holders, trust, anchors, hubs, registry, bus, clock, log })
  const devices = new Devices({ registry, bus, clock, random })
  const enrollments = new Enrollments({ registry, bus, clock, random })
  const authorities = new CertificateAuthorities({
    registry,
    bus,
    clock,
    random,
    refusals,
    limit: 10,
    codeLifetimeMs: 60_000,
  })
  const webhook = new AllocationWebhook()
  const linkedHubs = [{ hub: HUB, host: 'localhost', weight: 1, latency: null }]
  const common = { hubs, registry, anchors, trust, refusals, holders, clock }
  const registrar = new Registrar({ ...common, scope: SCOPE, linkedHubs, webhook, bus, random, log, metrics })
  const door = new Door({ ...common, provisioningHosts: ['localhost'] })
  let intercept: Parameters<Fixture['interceptAppend']>[0] = null
  const watchedLog: Pick<TelemetryLog, 'append'> = {
    append: (partition, event) => {
      const real = () => telemetryLog.append(partition, event)
      return intercept === null ? real() : intercept(event, real)
    },
  }
  const telemetry = new Telemetry({ hubs, log: watchedLog as TelemetryLog, metrics })
  const parts: MqttParts = {
    door,
    devices,
    hubs,
    telemetry,
    sessions,
    holders,
    refusals,
    registrar,
    clock,
    random,
    log,
  }
  const connectSeconds = options.connectSeconds ?? 10
  const head = new MqttHead(parts, { connectSeconds })

  const serverRoot = await makeRoot('Server root')
  const deviceRoot = await makeRoot('Device root')
  const intermediate = await makeIntermediate(deviceRoot, 'Device intermediate')
  await authorities.put(HUB, 'root', deviceRoot.der, { expected: null, verifiedByOperator: true })
  const server = await makeServer(serverRoot, ['localhost', '127.0.0.1'])
  const listeners = new Listeners({
    host: '127.0.0.1',
    ports: { mqtts: 0, https: 0, amqps: null, amqp: null },
    material: [{ certificates: server.cert, key: server.key }],
    random: { bytes: randomBytes },
    limits: { connections: 10_000, unauthenticated: 2_000, unauthenticatedPerAddress: 2_000, handshakeSeconds: 60 },
    heads: { mqtt: head, amqp: { accept: (stream) => stream.destroy(), close: async () => {} } },
    metrics,
    onRefusal: (refusal) => refusals.record(refusal),
  })
  const ports = await listeners.start()
  const identity = (id: string) => makeDevice(intermediate, id, [intermediate])

  return {
    ports,
    listeners,
    head,
    devices,
    sessions,
    revocations,
    enrollments,
    serverRoot,
    deviceRoot,
    intermediate,
    identity,
    device: async (id) => {
      await devices.create(HUB, { deviceId: id, authentication: { type: 'certificateAuthority' } })
      return identity(id)
    },
    dial: async (identity, dialOptions = {}) => {
      const socket = tlsConnect({
        host: '127.0.0.1',
        port: ports.mqtts ?? 0,
        ca: serverRoot.pem,
        servername: 'localhost',
        ...(identity === null ? {} : { cert: identity.cert, key: identity.key }),
        ...dialOptions,
      })
      await once(socket, 'secureConnect')
      return socket
    },
    events: async () => {
      const budget = { events: 100_000, bytes: 64 * 1024 * 1024 }
      const partitions = Array.from({ length: PARTITIONS }, (_, partition) =>
        telemetryLog.read(HUB, partition, 0, budget),
      )
      return (await Promise.all(partitions)).flat()
    },
    refusals: () => registry.refusals.list({ limit: 100 }),
    interceptAppend: (append) => {
      intercept = append
    },
    close: async () => {
      await head.close(1_000)
      await listeners.close(1_000)
      watch.close()
      holders.close()
      sessions.close()
      anchors.close()
      closeTrust()
      await bus.close()
      await stores.close()
      await rm(folder, { recursive: true })
    },
  }
}
