import type { HubName } from './ids.ts'

/** What a policy may belong to: a hub, or the provisioning service. */
export type PolicyOwner = { readonly kind: 'hub'; readonly hub: HubName } | { readonly kind: 'provisioning' }

export const HUB_RIGHTS = ['RegistryRead', 'RegistryWrite', 'ServiceConnect', 'DeviceConnect'] as const
export const PROVISIONING_RIGHTS = [
  'ServiceConfig',
  'EnrollmentRead',
  'EnrollmentWrite',
  'RegistrationStatusRead',
  'RegistrationStatusWrite',
] as const
export type HubRight = (typeof HUB_RIGHTS)[number]
export type ProvisioningRight = (typeof PROVISIONING_RIGHTS)[number]
export type Right = HubRight | ProvisioningRight

/** Keys are base64 of 32 random bytes. */
export interface AccessPolicy {
  readonly owner: PolicyOwner
  readonly name: string
  readonly primaryKey: string
  readonly secondaryKey: string
  readonly rights: readonly Right[]
}

/** The policies a new hub starts with (Azure's names and rights). */
export const DEFAULT_HUB_POLICIES: readonly { name: string; rights: readonly HubRight[] }[] = [
  { name: 'iothubowner', rights: HUB_RIGHTS },
  { name: 'service', rights: ['ServiceConnect'] },
  { name: 'device', rights: ['DeviceConnect'] },
  { name: 'registryRead', rights: ['RegistryRead'] },
  { name: 'registryReadWrite', rights: ['RegistryRead', 'RegistryWrite'] },
]

export const DEFAULT_PROVISIONING_POLICIES: readonly { name: string; rights: readonly ProvisioningRight[] }[] = [
  { name: 'provisioningserviceowner', rights: PROVISIONING_RIGHTS },
]
