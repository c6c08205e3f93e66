import { Type } from 'typebox'

const PROVIDER = 'providers/Microsoft.Devices'

/** Any subscription and resource group are accepted: a server has one operator and no tenants. */
export const SUBSCRIPTION = `/subscriptions/:subscription/${PROVIDER}`
export const GROUP = `/subscriptions/:subscription/resourceGroups/:group/${PROVIDER}`

export const SubscriptionParams = Type.Object({ subscription: Type.String() })
export const GroupParams = Type.Object({ ...SubscriptionParams.properties, group: Type.String() })
export const ResourceParams = Type.Object({ ...GroupParams.properties, resource: Type.String() })

/** The resource's own path, as answers name it in `id`. */
export function resourceId(
  { subscription, group, resource }: { subscription: string; group: string; resource: string },
  collection: 'IotHubs' | 'provisioningServices',
): string {
  return `/subscriptions/${subscription}/resourceGroups/${group}/${PROVIDER}/${collection}/${resource}`
}
