import { join } from 'node:path'
import { AmqpHead } from '../amqp/head.ts'
import { Backups } from '../backup/take.ts'
import type { Config } from '../config.ts'
import { serveHttp } from '../http/api.ts'
import { CrlServer } from '../http/publication/crl-server.ts'
import type { ServedPorts } from '../http/publication/crl-server.ts'
import { AuthorityUsage } from '../hub/authorities/authority-usage.ts'
import { ExpiryWatch } from '../hub/authorities/expiry-watch.ts'
import { keepTrimmed } from '../hub/telemetry/retention.ts'
import { KeyOperations } from '../keys/key-operations.ts'
import { MqttHead } from '../mqtt/head.ts'
import { Listeners } from '../net/listeners.ts'
import { resealKeys } from '../net/own-certificates.ts'
import { ServerIdentity } from '../net/server-identity.ts'
import { ownRecord } from '../audit/chain.ts'
import { Approvals } from '../operators/approvals.ts'
import { DangerousActs } from '../operators/dangerous-acts/dangerous-acts.ts'
import { aboutApproval, SecondPerson } from '../operators/second-person.ts'
import { snapshotStores } from '../sqlite/snapshot.ts'
import type { Context } from './context.ts'
import type { Hub } from './hub.ts'
import type { Kept } from './kept.ts'
import type { Provisioning } from './provisioning.ts'
import { Readiness } from './readiness.ts'
import { listenAddress, serverNames } from './server-names.ts'

/** How long what is in flight may take to finish when the server stops. */
const GRACE_MS = 10_000

/** The heads on their listeners: from here on the server answers. */
export interface Serving {
  readonly ports: ServedPorts
  readonly identity: ServerIdentity
}

export async function openServing(
  context: Context,
  kept: Kept,
  hub: Hub,
  provisioning: Provisioning,
): Promise<Serving> {
  const { config, log, onClose } = context
  const identity = await openIdentity(context, kept)
  await kept.keyring.endUnsealed()
  let ports: ServedPorts = { mqtts: null, https: null, amqps: null, amqp: null, crl: null }
  const heads = makeHeads(context, kept, hub, provisioning, () => ports.amqps ?? config.listen.amqp)
  const listeners = new Listeners({
    host: listenAddress(config),
    ports: {
      mqtts: config.listen.mqtt,
      https: config.listen.https,
      amqps: config.listen.amqp,
      amqp: config.listen.plainAmqp,
    },
    material: identity.material,
    limits: config.limits,
    heads,
    metrics: context.metrics,
    random: context.random,
    onRefusal: (note) => hub.refusals.record(note),
  })
  identity.onChange((material) => listeners.present(material))
  let accepting = true
  const readiness = new Readiness({
    data: config.data,
    settings: kept.stores.registry.settings,
    audit: kept.audit,
    accepting: () => accepting,
    hasFailed: context.hasFailed,
    metrics: context.metrics,
    log,
  })
  kept.operators.onLoss((ground) => hub.holders.end(ground, 'revoked'))
  const steering = openSteering(context, kept, hub, identity)
  const gate = await openGate(context, kept, hub, provisioning, steering)
  const http = await serveHttp(listeners.https, {
    ...hub,
    ...provisioning,
    ...steering,
    ...gate,
    hubs: kept.hubs,
    policies: kept.stores.registry.policies,
    settings: kept.stores.registry.settings,
    operators: kept.operators,
    audit: kept.audit,
    identity,
    service: {
      idScope: provisioning.idScope,
      host: config.provisioning.hosts[0] ?? 'localhost',
      linkedHubs: provisioning.linkedHubs,
    },
    ports: () => ports,
    isReady: () => readiness.isReady(),
    retentionHours: config.retention.hours,
    requestsPerMinute: config.limits.requestsPerMinute,
    clock: context.clock,
    random: context.random,
    log,
    metrics: context.metrics,
  })
  onClose(keepTrimmed(config.retention, kept.stores.telemetryLog, context.clock, log))
  ports = { ...(await listeners.start()), crl: null }
  onClose(async () => {
    accepting = false
    const { mqtt, amqp } = heads
    await Promise.all([http.close(), mqtt.close(GRACE_MS), amqp.close(GRACE_MS), listeners.close(GRACE_MS)])
  })
  ports = { ...ports, crl: await openCrlServer(context, hub) }
  log.info({ ports }, 'listening')
  void steering.expiry.look()
  return { ports, identity }
}

async function openCrlServer({ config, clock, onClose }: Context, { crls }: Hub): Promise<number | null> {
  if (config.listen.crl === null) return null
  const server = new CrlServer({ crls, clock })
  onClose(() => server.close())
  return server.listen(listenAddress(config), config.listen.crl)
}

async function openIdentity(
  { config, clock, random, log, onClose }: Context,
  { secrets }: Kept,
): Promise<ServerIdentity> {
  const identity = await ServerIdentity.open({
    folder: tlsFolder(config),
    names: serverNames(config),
    files: config.tls,
    clock,
    random: (count) => random.bytes(count),
    log,
    secrets,
  })
  onClose(() => identity.close())
  return identity
}

/** The protocols of devices and readers. */
function makeHeads(
  { config, clock, random, log, metrics }: Context,
  { hubs }: Kept,
  hub: Hub,
  { registrar }: Provisioning,
  amqpPort: () => number,
): { mqtt: MqttHead; amqp: AmqpHead } {
  const { door, devices, telemetry, sessions, holders, refusals, consumers } = hub
  const mqtt = new MqttHead(
    { door, devices, hubs, telemetry, sessions, holders, refusals, registrar, clock, random, log },
    { connectSeconds: config.limits.handshakeSeconds },
  )
  const containerId = `holdfast-${Buffer.from(random.bytes(8)).toString('hex')}`
  const amqp = new AmqpHead({
    door,
    hubs,
    consumers,
    registrar,
    holders,
    refusals,
    clock,
    log,
    metrics,
    containerId,
    port: amqpPort,
  })
  return { mqtt, amqp }
}

/** What only operators ask for: who rests on what, what ends when, keys, backups. */
function openSteering(context: Context, kept: Kept, hub: Hub, identity: ServerIdentity) {
  const { config, clock, random, log, metrics, onClose } = context
  const { keyring, stores, secrets, audit, hubs } = kept
  const { registry, telemetryLog } = stores
  const keyOperations = new KeyOperations({
    keyring,
    registry: stores.sealing.registry,
    oldestTelemetry: () => stores.sealing.telemetry.oldestTime(),
    eraseEvents: async (hubName, deviceId) => {
      const present = await registry.devices.get(hubName, deviceId)
      return telemetryLog.erase(hubName, deviceId, present?.generationId ?? null)
    },
    resealFiles: () => {
      resealKeys({ folder: tlsFolder(config), secrets })
      audit.reseal()
    },
    clock,
    log,
  })
  onClose(() => keyOperations.close())
  const usage = new AuthorityUsage({ registry, hubs, known: hub.revocations.known })
  const server = (): readonly string[] => identity.certificates()
  const expiry = new ExpiryWatch({ registry, hubs, usage, server, clock, metrics, log })
  onClose(() => expiry.close())
  const backups = new Backups({ folder: config.data, keyring, snapshot: snapshotStores, clock, random, log })
  return { keyOperations, usage, expiry, backups }
}

/** Dangerous acts, and the gate before them. */
async function openGate(
  { config, clock, random, log, onClose }: Context,
  { stores, audit, operators }: Kept,
  { authorities, revocations, sessions }: Hub,
  { enrollments }: Provisioning,
  { keyOperations, usage }: ReturnType<typeof openSteering>,
): Promise<{ secondPerson: SecondPerson; dangerous: DangerousActs }> {
  const { registry } = stores
  const approvals = await Approvals.open({
    store: registry.approvals,
    clock,
    random,
    log,
    onExpired: (approval) => audit.note({ ...ownRecord('event', 'approval.expired'), ...aboutApproval(approval) }),
  })
  onClose(() => approvals.close())
  const secondPerson = new SecondPerson({ isWanted: config.management.secondPerson, approvals, operators, audit })
  const revoking = { registry, revocations, sessions }
  const verbs = { authorities, usage, sessions, revoking, enrollments, keyOperations, operators, audit }
  return { secondPerson, dangerous: new DangerousActs({ ...verbs, secondPerson }) }
}

function tlsFolder(config: Config): string {
  return join(config.data, 'tls')
}
