import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { renewPolicyKey } from '../../hub/registry/access-policies.ts'
import type { Hubs } from '../../hub/hubs.ts'
import type { AccessPolicy, PolicyOwner } from '../../model/access-policy.ts'
import type { Bus } from '../../ports/bus.ts'
import type { Randomness } from '../../ports/clock.ts'
import type { PolicyStore } from '../../ports/registry.ts'
import { hubNamed } from '../resource-manager/iot-hubs.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from './access.ts'

const tags = ['management: access policies']
const KeyBody = Type.Object(
  { key: Type.Union([Type.Literal('primary'), Type.Literal('secondary')]) },
  { additionalProperties: false },
)

export interface PolicyParts {
  readonly hubs: Hubs
  readonly policies: PolicyStore
  readonly bus: Bus
  readonly random: Randomness
  readonly access: ManagementAccess
}

/** Shared access policies of the hubs and of the provisioning service: show them, renew one key at a time. */
export function policyRoutes(routes: Routes, parts: PolicyParts): void {
  const { hubs, policies, access } = parts
  const maySee = (request: FastifyRequest): boolean => access.allows(request, 'policies.secrets')
  const rotate = async (owner: PolicyOwner, name: string, key: 'primary' | 'secondary', request: FastifyRequest) => {
    return policyJson(await renewPolicyKey(owner, name, key, parts), maySee(request))
  }

  // The keys are shown as digests: whether it was this one that went can be told.
  const stateOf = async (owner: PolicyOwner, name: string) => {
    const policy = await policies.get(owner, name)
    return policy === null ? null : policyJson(policy, true)
  }

  routes.get(
    '/holdfast/v1/hubs/:hub/policies',
    {
      ...access.may('policies.read'),
      schema: { tags, summary: "List a hub's", params: Type.Object({ hub: Type.String() }) },
    },
    async (request) => {
      const { name: hub } = hubNamed(hubs, request.params.hub)
      return { value: (await policies.list({ kind: 'hub', hub })).map((policy) => policyJson(policy, maySee(request))) }
    },
  )
  routes.get(
    '/holdfast/v1/provisioning/policies',
    { ...access.may('policies.read'), schema: { tags, summary: "List the provisioning service's" } },
    async (request) => ({
      value: (await policies.list({ kind: 'provisioning' })).map((policy) => policyJson(policy, maySee(request))),
    }),
  )
  routes.post(
    '/holdfast/v1/hubs/:hub/policies/:name/rotate',
    {
      ...access.may('policies.rotate', {
        name: 'policy.rotate',
        before: ({ hub = '', name = '' }) => stateOf({ kind: 'hub', hub: hubNamed(hubs, hub).name }, name),
      }),
      schema: {
        tags,
        summary: 'Renew a key',
        params: Type.Object({ hub: Type.String(), name: Type.String() }),
        body: KeyBody,
      },
    },
    async (request) => {
      const { params, body } = request
      return rotate({ kind: 'hub', hub: hubNamed(hubs, params.hub).name }, params.name, body.key, request)
    },
  )
  routes.post(
    '/holdfast/v1/provisioning/policies/:name/rotate',
    {
      ...access.may('policies.rotate', {
        name: 'policy.rotate',
        before: ({ name = '' }) => stateOf({ kind: 'provisioning' }, name),
      }),
      schema: { tags, summary: 'Renew a key', params: Type.Object({ name: Type.String() }), body: KeyBody },
    },
    async (request) => rotate({ kind: 'provisioning' }, request.params.name, request.body.key, request),
  )
}

/** Keys are for those who may use them. */
function policyJson({ name, rights, primaryKey, secondaryKey }: AccessPolicy, maySeeKeys: boolean) {
  return { name, rights, ...(maySeeKeys ? { primaryKey, secondaryKey } : { primaryKey: null, secondaryKey: null }) }
}
