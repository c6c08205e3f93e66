import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { PathVerifier } from '@holdfast/pki'
import { AmqpHead } from './amqp/head.ts'
import { openAppendFile } from './audit/append-file.ts'
import type { OpenAppendFile } from './audit/append-file.ts'
import { AuditLog, auditFolder } from './audit/audit-log.ts'
import type { SecurityEvents } from './audit/security-events.ts'
import { recordLife } from './audit/server-life.ts'
import { recordRestore } from './backup/restored.ts'
import { Backups } from './backup/take.ts'
import { ConfigError } from './config.ts'
import type { Config, HubConfig } from './config.ts'
import type { HubError } from './errors.ts'
import { serveHttp } from './http/api.ts'
import { twinJson } from './http/service/twin-json.ts'
import { ensurePolicies } from './hub/access-policies.ts'
import { Alarms } from './hub/alarms.ts'
import { Door } from './hub/authenticate.ts'
import { AuthorityUsage } from './hub/authority-usage.ts'
import { CertificateAuthorities } from './hub/certificate-authorities.ts'
import { Clones } from './hub/clones.ts'
import { Consumers } from './hub/consumers.ts'
import { CrlFetcher } from './hub/crl-fetcher.ts'
import { Crls } from './hub/crls.ts'
import { Devices } from './hub/devices.ts'
import { Duplicates } from './hub/duplicates.ts'
import { ExpiryWatch } from './hub/expiry-watch.ts'
import { Hubs } from './hub/hubs.ts'
import { OcspClient } from './hub/ocsp-client.ts'
import { Operations } from './hub/operations.ts'
import { PathTrust } from './hub/path-trust.ts'
import { Quarantine } from './hub/quarantine.ts'
import { Refusals } from './hub/refusals.ts'
import { keepTrimmed } from './hub/retention.ts'
import { Revocations } from './hub/revocations.ts'
import { SessionWatch } from './hub/session-watch.ts'
import { SealedMessages } from './hub/sealed.ts'
import { Sessions } from './hub/sessions.ts'
import { Telemetry } from './hub/telemetry.ts'
import { TrustAnchors } from './hub/trust-anchors.ts'
import { DEFAULT_DELIVERY_LIMITS, Webhooks } from './hub/webhooks.ts'
import { configuredSource } from './keys/configured-source.ts'
import { EnvelopeSealer } from './keys/envelope.ts'
import { KeyOperations } from './keys/key-operations.ts'
import { Keyring } from './keys/keyring.ts'
import { SealedFiles } from './keys/sealed-files.ts'
import { openLocalBus } from './local/bus.ts'
import { createLog } from './log.ts'
import type { Log } from './log.ts'
import { Metrics } from './metrics.ts'
import { DEFAULT_HUB_POLICIES, DEFAULT_PROVISIONING_POLICIES } from './model/access-policy.ts'
import { MqttHead } from './mqtt/head.ts'
import { Listeners } from './net/listeners.ts'
import type { ListenerPorts } from './net/listeners.ts'
import { resealKeys } from './net/own-certificates.ts'
import { ServerIdentity } from './net/server-identity.ts'
import type { Bus } from './ports/bus.ts'
import type { Clock, Randomness } from './ports/clock.ts'
import type { Registry } from './ports/registry.ts'
import { Approvals } from './operators/approvals.ts'
import { Operators } from './operators/operators.ts'
import { keepOwnerToken } from './operators/owner-token.ts'
import { AllocationWebhook } from './provisioning/allocation-webhook.ts'
import { Enrollments } from './provisioning/enrollments.ts'
import { loadIdScope } from './provisioning/id-scope.ts'
import { Registrar } from './provisioning/register.ts'
import { holdsSealedData, openSqliteStores } from './sqlite/open.ts'
import { listenAddress, serverNames } from './server-names.ts'
import { snapshotStores } from './sqlite/snapshot.ts'

/** How long what is in flight may take to finish when the server stops. */
const GRACE_MS = 10_000
/** Verified CA keys and signatures kept for the next connect. */
const VERIFIER_CACHE = 10_000
const HOUR = 60 * 60 * 1000

export interface RunningServer {
  readonly ports: {
    readonly mqtt: number
    readonly https: number
    readonly amqp: number
    readonly plainAmqp: number | null
  }
  /** The home hub. */
  readonly hub: HubConfig
  readonly idScope: string
  /** PEM file of the root that signed the server certificate; null when the operator brought one. */
  readonly rootFile: string | null
  /** Holds the key that the data folder is sealed with; null when a passphrase does. */
  readonly keyFile: string | null
  /** Mode 0600; holds the token of the management API. */
  readonly managementTokenFile: string
  /** Rejects when the server can acknowledge nothing any more; settles in no other way. */
  readonly failed: Promise<never>
  /** Stops accepting, finishes what is in flight, closes the stores. */
  close(): Promise<void>
}

/** What a test may replace, and what only a terminal can tell. */
export interface Environment {
  readonly clock?: Clock
  readonly random?: Randomness
  readonly log?: Log
  /** What the operator typed; takes the place of the key file. */
  readonly keyPassphrase?: string
  /** How the audit log opens its files. */
  readonly openAuditFile?: OpenAppendFile
}

/**
 * Starts a server: the one place where its parts are made and joined.
 * @throws ConfigError for settings that cannot stand, HubError when a port or the data folder cannot be had.
 */
export async function startServer(config: Config, environment: Environment = {}): Promise<RunningServer> {
  const { clock = { now: () => Date.now() }, random = systemRandomness() } = environment
  const log = environment.log ?? createLog({ level: config.log.level })
  const closers: (() => Promise<void> | void)[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer()
  }
  try {
    const { keyPassphrase, openAuditFile = openAppendFile } = environment
    const parts = { clock, random, log, keyPassphrase, openAuditFile }
    const running = await assemble(config, parts, (closer) => closers.push(closer))
    return { ...running, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Bytes drawn at a time: a connect needs a few small random values, and each draw costs more than its bytes. */
const POOL_BYTES = 4_096

function systemRandomness(): Randomness {
  let pool = randomBytes(POOL_BYTES)
  let used = 0
  return {
    bytes(count) {
      if (count > POOL_BYTES / 4) return randomBytes(count)
      if (used + count > POOL_BYTES) {
        pool = randomBytes(POOL_BYTES)
        used = 0
      }
      const bytes = Buffer.from(pool.subarray(used, used + count))
      pool.fill(0, used, used + count)
      used += count
      return bytes
    },
  }
}

type Parts = Required<Omit<Environment, 'keyPassphrase'>> & { readonly keyPassphrase: string | undefined }

async function assemble(
  config: Config,
  { clock, random, log, keyPassphrase, openAuditFile }: Parts,
  onClose: (closer: () => Promise<void> | void) => void,
): Promise<Omit<RunningServer, 'close'>> {
  const metrics = new Metrics()
  const failure = Promise.withResolvers<never>()
  // Whoever runs the server may look at it late or never.
  failure.promise.catch(() => {})
  // Before anything else is opened or changed: without its keys the folder must stay as it is.
  const keyring = await openKeyring(config, { clock, random, log, keyPassphrase })
  onClose(() => keyring.close())
  const stores = await openSqliteStores({
    folder: config.data,
    keys: keyring.dataKeys,
    admitsUnsealed: keyring.admitsUnsealed,
    onProgress: (message) => log.warn(message),
    refusalCapacity: config.limits.refusals,
    clock,
    onFailure: (error: HubError) => failure.reject(error),
    onError: (error) => log.error({ err: error }, 'a store reported an error'),
  })
  onClose(() => stores.close())
  const { registry, telemetryLog } = stores
  const fileSealer = new EnvelopeSealer('file', keyring.dataKeys)
  const secrets = new SealedFiles(fileSealer, { admitsUnsealed: keyring.admitsUnsealed })
  keyring.onNewKey(async (key) => {
    fileSealer.add(key)
    await stores.sealing.addKey(key)
  })
  const audit = await AuditLog.open({ folder: auditFolder(config.data), secrets, clock, log, openFile: openAuditFile })
  const life = await recordLife(audit, { config, settings: registry.settings, log })
  onClose(() => life.close())
  await recordRestore(config.data, audit)
  const operators = await Operators.open({ settings: registry.settings, clock, random })
  const managementTokenFile = await keepOwnerToken(config.data, operators)
  const hubs = await openHubs(config, registry)
  await makePolicies(config, registry, random)

  const bus = openLocalBus({ onListenerError: (error) => log.error({ err: error }, 'a listener of the bus failed') })
  onClose(() => bus.close())
  const refusals = new Refusals({ registry, bus, clock, random, metrics })
  const operations = new Operations({
    hubs,
    log: telemetryLog,
    clock,
    random,
    logger: log,
    metrics,
    twinOf: (device) => twinJson(device, false),
  })
  onClose(() => operations.flush())
  const alarms = new Alarms({ registry, clock, random, log, metrics })
  onClose(() => alarms.close())
  const clones = new Clones({ registry, alarms, clock, log })
  onClose(() => clones.close())
  const anchors = new TrustAnchors({ registry, hubs, bus, clock })
  onClose(() => anchors.close())
  const { trust, crls } = await openRevocation({ registry, hubs, bus, clock, random, log }, onClose)
  const { revocations } = trust
  const door = new Door({
    hubs,
    registry,
    anchors,
    trust,
    refusals,
    clock,
    clones,
    provisioningHosts: config.provisioning.hosts,
  })
  const quarantine = new Quarantine({ registry, bus, clock })
  const duplicates = new Duplicates({ hubs, refusals, quarantine, alarms, clock, log })
  const sessions = new Sessions({ registry, revocations, bus, clock, log, metrics, duplicates })
  writeDown({ operations, refusals, revocations, alarms, sessions, events: life.events })
  onClose(() => sessions.close())
  const watch = new SessionWatch({ sessions, trust, anchors, hubs, registry, bus, clock, log })
  onClose(() => watch.close())
  const devices = new Devices({ registry, bus, clock, random, lifecycle: operations })
  const webhooks = await Webhooks.open({
    hubs,
    operations,
    log: telemetryLog,
    registry,
    alarms,
    clock,
    random,
    logger: log,
    metrics,
    limits: {
      ...DEFAULT_DELIVERY_LIMITS,
      timeoutMs: config.webhooks.timeoutSeconds * 1_000,
      disableAfterMs: config.webhooks.disableAfterHours * HOUR,
    },
  })
  onClose(() => webhooks.close())
  const telemetry = new Telemetry({
    hubs,
    log: telemetryLog,
    metrics,
    sealed: new SealedMessages({ hubs, registry, anchors, trust, refusals, clock }),
  })
  const consumers = new Consumers({ hubs, registry, log: telemetryLog, clock })
  const authorities = new CertificateAuthorities({
    registry,
    bus,
    clock,
    random,
    refusals,
    limit: config.limits.authorities,
    codeLifetimeMs: config.limits.verificationCodeMinutes * 60_000,
  })

  const idScope = await loadIdScope(registry.settings, random)
  const linkedHubs = config.hubs.map(({ name, hosts, weight, latency }) => ({
    hub: name,
    host: hosts[0] ?? name,
    weight,
    latency,
  }))
  const enrollments = new Enrollments({ registry, bus, clock, random })
  const rehearsing = { scope: idScope, hubs, linkedHubs, registry, anchors, trust, refusals, bus, clock, random }
  const registrar = new Registrar({
    ...rehearsing,
    webhook: new AllocationWebhook(),
    lifecycle: operations,
    log,
    metrics,
  })
  onClose(() => registrar.close())

  const identity = await ServerIdentity.open({
    folder: join(config.data, 'tls'),
    names: serverNames(config),
    files: config.tls,
    clock,
    random: (count) => random.bytes(count),
    log,
    secrets,
  })
  onClose(() => identity.close())
  await keyring.endUnsealed()
  const keyOperations = new KeyOperations({
    keyring,
    registry: stores.sealing.registry,
    oldestTelemetry: () => stores.sealing.telemetry.oldestTime(),
    eraseEvents: async (hub, deviceId) => {
      const present = await registry.devices.get(hub, deviceId)
      return telemetryLog.erase(hub, deviceId, present?.generationId ?? null)
    },
    resealFiles: () => {
      resealKeys({ folder: join(config.data, 'tls'), secrets })
      audit.reseal()
    },
    clock,
    log,
  })
  onClose(() => keyOperations.close())
  const usage = new AuthorityUsage({ registry, hubs, known: revocations.known })
  const server = (): readonly string[] => identity.material.map(({ certificates }) => certificates)
  const expiry = new ExpiryWatch({ registry, hubs, usage, server, clock, metrics, log })
  onClose(() => expiry.close())
  let ports: ListenerPorts = { mqtts: null, https: null, amqps: null, amqp: null }
  const mqtt = new MqttHead(
    { door, devices, hubs, telemetry, sessions, refusals, registrar, clock, random, log },
    { connectSeconds: config.limits.handshakeSeconds },
  )
  const containerId = `holdfast-${Buffer.from(random.bytes(8)).toString('hex')}`
  const amqp = new AmqpHead({
    door,
    hubs,
    consumers,
    registrar,
    refusals,
    clock,
    log,
    metrics,
    containerId,
    port: () => ports.amqps ?? config.listen.amqp,
  })
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
    heads: { mqtt, amqp },
    metrics,
    random,
    onRefusal: (note) => refusals.record(note),
  })
  identity.onChange((material) => listeners.present(material))

  let accepting = true
  const http = await serveHttp(listeners.https, {
    door,
    hubs,
    devices,
    sessions,
    telemetry,
    consumers,
    authorities,
    revoking: { registry, revocations, sessions },
    crls,
    usage,
    expiry,
    rehearsing,
    refusals,
    alarms,
    operations,
    quarantine,
    webhooks,
    enrollments,
    registrar,
    policies: registry.policies,
    operators,
    approvals: new Approvals({ clock, random }),
    audit,
    secondPerson: config.management.secondPerson,
    keyOperations,
    backups: new Backups({ folder: config.data, keyring, snapshot: snapshotStores, clock, random, log }),
    identity,
    settings: registry.settings,
    service: { idScope, host: config.provisioning.hosts[0] ?? 'localhost', linkedHubs },
    ports: () => ports,
    accepting: () => accepting,
    retentionHours: config.retention.hours,
    requestsPerMinute: config.limits.requestsPerMinute,
    clock,
    random,
    log,
    metrics,
  })
  onClose(keepTrimmed(config.retention, telemetryLog, clock, log))
  ports = await listeners.start()
  onClose(async () => {
    accepting = false
    await Promise.all([http.close(), mqtt.close(GRACE_MS), amqp.close(GRACE_MS), listeners.close(GRACE_MS)])
  })
  log.info({ ports }, 'listening')
  void expiry.look()
  return {
    ports: { mqtt: ports.mqtts ?? 0, https: ports.https ?? 0, amqp: ports.amqps ?? 0, plainAmqp: ports.amqp },
    hub: homeHub(config),
    idScope,
    rootFile: identity.rootFile,
    keyFile: keyring.facts().kek.path,
    managementTokenFile,
    failed: failure.promise,
  }
}

async function openKeyring(
  config: Config,
  { clock, random, log, keyPassphrase }: Omit<Parts, 'openAuditFile'>,
): Promise<Keyring> {
  const keyring = await Keyring.open({
    folder: config.data,
    source: configuredSource({ data: config.data, keyFile: config.keys.file, ...config.keys }, keyPassphrase),
    holdsSealedData: holdsSealedData(config.data),
    clock,
    random,
  })
  const { path, kind, id } = keyring.facts().kek
  if (keyring.admitsUnsealed)
    log.info(
      { kind, id, path },
      path === null
        ? 'the data folder is sealed with a passphrase or a token: without it nothing in the folder can be read'
        : 'the data folder is sealed with the key in this file: keep a copy of it apart from the folder; without it nothing in the folder can be read',
    )
  return keyring
}

/** Paths and what is revoked on them; CRLs are fetched from then on where the operator asked for it. */
async function openRevocation(
  parts: { registry: Registry; hubs: Hubs; bus: Bus; clock: Clock; random: Randomness; log: Log },
  onClose: (closer: () => Promise<void> | void) => void,
): Promise<{ trust: PathTrust; crls: Crls }> {
  const verifier = new PathVerifier({ cacheSize: VERIFIER_CACHE })
  const revocations = await Revocations.open(parts)
  onClose(() => revocations.close())
  const ocsp = new OcspClient({ ...parts, verifier })
  onClose(() => ocsp.close())
  const trust = new PathTrust({ verifier, revocations, ocsp })
  const crls = new Crls({ ...parts, revocations, verifier })
  const fetcher = new CrlFetcher({ ...parts, revocations, crls })
  trust.onVerified((hub, path) => fetcher.notice(hub, path))
  onClose(() => fetcher.close())
  return { trust, crls }
}

/** What happens goes to the operations streams, and what is about security to the audit log. */
function writeDown(parts: {
  operations: Operations
  refusals: Refusals
  revocations: Revocations
  alarms: Alarms
  sessions: Sessions
  events: SecurityEvents
}): void {
  const { operations, refusals, revocations, alarms, sessions, events } = parts
  refusals.onRecord((refusal) => events.refused(refusal))
  alarms.onRaise((alarm) => events.alarmed(alarm))
  sessions.onChange((session, change) => operations.connection(session, change))
  refusals.onRecord((refusal) => operations.refused(refusal))
  alarms.onRaise((alarm) => operations.alarmed(alarm))
  revocations.onRecord((record) => {
    if (record.kind === 'revocation') operations.revoked(record)
    return 0
  })
}

function homeHub(config: Config): HubConfig {
  const [home] = config.hubs
  if (!home) throw new ConfigError(['hubs: at least one hub is needed'])
  return home
}

/** The partition count of a hub is written down at its first start: events are spread by it. */
async function openHubs(config: Config, registry: Registry): Promise<Hubs> {
  for (const { name, partitions } of config.hubs) {
    const key = `hub.${name}.partitions`
    const known = await registry.settings.get(key)
    if (known === null) await registry.settings.put(key, String(partitions))
    else if (known !== String(partitions)) {
      throw new ConfigError([
        `hubs: '${name}' holds events in ${known} partitions, and the number cannot be changed to ${partitions}`,
      ])
    }
  }
  return new Hubs(config.hubs)
}

async function makePolicies(config: Config, registry: Registry, random: Randomness): Promise<void> {
  for (const { name } of config.hubs)
    await ensurePolicies(registry, { kind: 'hub', hub: name }, DEFAULT_HUB_POLICIES, random)
  await ensurePolicies(registry, { kind: 'provisioning' }, DEFAULT_PROVISIONING_POLICIES, random)
}
