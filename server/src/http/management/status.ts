import type { Devices } from '../../hub/registry/devices.ts'
import type { HubDefinition, Hubs } from '../../hub/hubs.ts'
import type { Refusals } from '../../hub/refusals/refusals.ts'
import type { Sessions } from '../../hub/sessions/sessions.ts'
import type { ServedPorts } from '../publication/crl-server.ts'
import type { Clock } from '../../ports/clock.ts'
import type { HarmlessAuthorities } from '../../operators/dangerous-acts/dangerous-acts.ts'
import type { ProvisioningServiceFacts } from '../resource-manager/provisioning-services.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from './access.ts'

const DAY_MS = 24 * 60 * 60 * 1000

export interface StatusParts {
  readonly hubs: Hubs
  readonly devices: Devices
  readonly sessions: Sessions
  readonly authorities: Pick<HarmlessAuthorities, 'list'>
  readonly refusals: Refusals
  readonly service: ProvisioningServiceFacts
  readonly ports: () => ServedPorts
  readonly clock: Clock
  readonly access: ManagementAccess
}

/** The server at a glance. */
export function statusRoutes(routes: Routes, parts: StatusParts): void {
  const { hubs, refusals, service, ports, clock, access } = parts
  const startedAt = new Date(clock.now()).toISOString()
  routes.get(
    '/holdfast/v1/status',
    { ...access.may('server.read'), schema: { tags: ['management: status'], summary: 'Show the server' } },
    async () => ({
      startedAt,
      ports: ports(),
      hubs: await Promise.all(hubs.all().map((hub) => hubStatus(hub, parts))),
      provisioning: { idScope: service.idScope, host: service.host },
      refusalsOfLastDay: await refusals.countByRule(clock.now() - DAY_MS),
    }),
  )
}

async function hubStatus(hub: HubDefinition, { devices, sessions, authorities }: StatusParts) {
  const registered = await authorities.list(hub.name)
  return {
    name: hub.name,
    hosts: hub.hosts,
    partitions: hub.partitions,
    devices: await devices.statistics(hub.name),
    connected: sessions.count(hub.name),
    authorities: {
      total: registered.length,
      verified: registered.filter(({ state }) => state.kind === 'verified').length,
    },
  }
}
