import type { SecurityEvents } from '../audit/security-events.ts'
import { twinJson } from '../http/service/twin-json.ts'
import { Alarms } from '../hub/alarms.ts'
import { Door } from '../hub/door/authenticate.ts'
import { CertificateAuthorities } from '../hub/authorities/certificate-authorities.ts'
import { Clones } from '../hub/sessions/clones.ts'
import { Consumers } from '../hub/telemetry/consumers.ts'
import { Devices } from '../hub/registry/devices.ts'
import { Duplicates } from '../hub/sessions/duplicates.ts'
import { Operations } from '../hub/operations/operations.ts'
import { Quarantine } from '../hub/sessions/quarantine.ts'
import { Refusals } from '../hub/refusals/refusals.ts'
import type { Revocations } from '../hub/revocation/revocations.ts'
import { SealedMessages } from '../hub/telemetry/sealed.ts'
import { TrustWatch } from '../hub/door/trust-watch.ts'
import { Holders } from '../hub/holders.ts'
import { Sessions } from '../hub/sessions/sessions.ts'
import { Telemetry } from '../hub/telemetry/telemetry.ts'
import { TrustAnchors } from '../hub/authorities/trust-anchors.ts'
import { DEFAULT_DELIVERY_LIMITS, Webhooks } from '../hub/operations/webhooks.ts'
import { openLocalBus } from '../local/bus.ts'
import type { Context } from './context.ts'
import type { Kept } from './kept.ts'
import { logDevices } from './device-log.ts'
import { openTrust } from './trust.ts'

const HOUR = 60 * 60 * 1000

/** The verbs of the hubs, over what is kept. */
export type Hub = Awaited<ReturnType<typeof openHub>>

// Longer than the habit: a list of parts, each made once from those before it.
export async function openHub(context: Context, kept: Kept) {
  const { config, clock, random, log, metrics, onClose } = context
  const { hubs } = kept
  const { registry, telemetryLog } = kept.stores
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
  const { trust, crls } = await openTrust(context, { registry, hubs, bus })
  const { revocations } = trust
  const holders = new Holders({ clock, log })
  onClose(() => holders.close())
  const door = new Door({
    hubs,
    registry,
    anchors,
    trust,
    refusals,
    holders,
    clock,
    clones,
    provisioningHosts: config.provisioning.hosts,
  })
  const quarantine = new Quarantine({ registry, bus, clock })
  const duplicates = new Duplicates({ hubs, refusals, quarantine, alarms, clock, log })
  const sessions = new Sessions({ registry, holders, bus, clock, log, metrics, duplicates })
  writeDown({ operations, refusals, revocations, alarms, sessions, events: kept.securityEvents })
  logDevices(log, { sessions, refusals })
  onClose(() => sessions.close())
  const watch = new TrustWatch({ holders, trust, anchors, hubs, registry, bus, clock, log })
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
  return {
    bus,
    refusals,
    operations,
    alarms,
    anchors,
    trust,
    crls,
    revocations,
    holders,
    door,
    quarantine,
    sessions,
    devices,
    webhooks,
    telemetry,
    consumers,
    authorities,
  }
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
