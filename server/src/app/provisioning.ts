import { AllocationWebhook } from '../provisioning/allocation-webhook.ts'
import { Enrollments } from '../provisioning/enrollments.ts'
import { loadIdScope } from '../provisioning/id-scope.ts'
import { Registrar } from '../provisioning/register.ts'
import type { Context } from './context.ts'
import type { Hub } from './hub.ts'
import type { Kept } from './kept.ts'

/** The verbs of the provisioning service, which stands on the hubs of this server. */
export type Provisioning = Awaited<ReturnType<typeof openProvisioning>>

export async function openProvisioning(context: Context, kept: Kept, hub: Hub) {
  const { config, clock, random, log, metrics, onClose } = context
  const { hubs } = kept
  const { registry } = kept.stores
  const { anchors, trust, refusals, holders, bus, operations } = hub
  const idScope = await loadIdScope(registry.settings, random)
  const linkedHubs = config.hubs.map(({ name, hosts, weight, latency }) => ({
    hub: name,
    host: hosts[0] ?? name,
    weight,
    latency,
  }))
  const enrollments = new Enrollments({ registry, bus, clock, random })
  const rehearsing = {
    scope: idScope,
    hubs,
    linkedHubs,
    registry,
    anchors,
    trust,
    refusals,
    holders,
    bus,
    clock,
    random,
  }
  const registrar = new Registrar({
    ...rehearsing,
    webhook: new AllocationWebhook(),
    lifecycle: operations,
    log,
    metrics,
  })
  onClose(() => registrar.close())
  return { idScope, linkedHubs, enrollments, rehearsing, registrar }
}
