import type { Consumers } from '../../hub/telemetry/consumers.ts'
import type { Hubs } from '../../hub/hubs.ts'
import type { ListenerPorts } from '../../net/listeners.ts'
import type { Clock } from '../../ports/clock.ts'
import type { PolicyStore } from '../../ports/registry.ts'
import type { DangerousActs, HarmlessAuthorities } from '../../operators/dangerous-acts/dangerous-acts.ts'
import { answerFailuresIn } from '../routes.ts'
import type { ManagementAccess } from '../management/access.ts'
import type { Routes } from '../routes.ts'
import { armFailure } from './arm-failure.ts'
import { certificateRoutes, possessionRoutes } from './certificates.ts'
import type { CertificateCollection } from './certificates.ts'
import { consumerGroupRoutes } from './consumer-groups.ts'
import { HUB_BASE, hubNamed, iotHubRoutes } from './iot-hubs.ts'
import { provisioningServiceRoutes, requireServiceNamed, SERVICE_BASE } from './provisioning-services.ts'
import type { ProvisioningServiceFacts } from './provisioning-services.ts'
import { unsupportedResourceRoutes } from './unsupported.ts'

const DEFAULT_AMQPS_PORT = 5671

export interface ResourceManagerParts {
  readonly hubs: Hubs
  readonly authorities: HarmlessAuthorities
  readonly dangerous: Pick<DangerousActs, 'authorities'>
  readonly consumers: Consumers
  readonly policies: PolicyStore
  readonly service: ProvisioningServiceFacts
  readonly ports: () => ListenerPorts
  readonly retentionHours: number
  readonly clock: Clock
  readonly access: ManagementAccess
}

/** The control plane that `@azure/arm-iothub` and `@azure/arm-deviceprovisioningservices` speak to. */
export function resourceManagerApi(routes: Routes, parts: ResourceManagerParts): void {
  answerFailuresIn(routes, armFailure, parts.clock)
  iotHubRoutes(routes, { ...parts, amqpsPort: () => parts.ports().amqps ?? DEFAULT_AMQPS_PORT })
  consumerGroupRoutes(routes, parts)
  provisioningServiceRoutes(routes, parts)
  for (const collection of certificateCollections(parts)) {
    certificateRoutes(routes, parts, collection)
    possessionRoutes(routes, parts, collection)
  }
  unsupportedResourceRoutes(routes)
}

/** Each hub has its register; the provisioning service shows the one of the home hub. */
function certificateCollections({ hubs, service }: ResourceManagerParts): readonly CertificateCollection[] {
  return [
    { base: HUB_BASE, collection: 'IotHubs', registerOf: (resource) => hubNamed(hubs, resource).name },
    {
      base: SERVICE_BASE,
      collection: 'provisioningServices',
      registerOf: (resource) => {
        requireServiceNamed(service, resource)
        return hubs.home.name
      },
    },
  ]
}
