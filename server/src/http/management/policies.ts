import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import { newKey } from '../../hub/access-policies.ts'
import type { Hubs } from '../../hub/hubs.ts'
import type { AccessPolicy, PolicyOwner } from '../../model/access-policy.ts'
import { printable } from '../../model/ids.ts'
import type { Randomness } from '../../ports/clock.ts'
import type { PolicyStore } from '../../ports/registry.ts'
import { hubNamed } from '../resource-manager/iot-hubs.ts'
import type { RequestStep, Routes } from '../routes.ts'

const tags = ['management: access policies']
const KeyBody = Type.Object(
  { key: Type.Union([Type.Literal('primary'), Type.Literal('secondary')]) },
  { additionalProperties: false },
)

export interface PolicyParts {
  readonly hubs: Hubs
  readonly policies: PolicyStore
  readonly random: Randomness
  readonly requireToken: RequestStep
}

/** Shared access policies of the hubs and of the provisioning service: show them, renew one key at a time. */
export function policyRoutes(routes: Routes, parts: PolicyParts): void {
  const { hubs, policies, random, requireToken: onRequest } = parts
  const rotate = async (owner: PolicyOwner, name: string, key: 'primary' | 'secondary') => {
    const policy = await policies.get(owner, name)
    if (policy === null) throw new HubError('argument-invalid', `There is no access policy '${printable(name)}'.`)
    const renewed = { ...policy, [key === 'primary' ? 'primaryKey' : 'secondaryKey']: newKey(random) }
    await policies.put(renewed)
    return policyJson(renewed)
  }

  routes.get(
    '/holdfast/v1/hubs/:hub/policies',
    { onRequest, schema: { tags, summary: "List a hub's", params: Type.Object({ hub: Type.String() }) } },
    async ({ params }) => {
      const hub = hubNamed(hubs, params.hub).name
      return { value: (await policies.list({ kind: 'hub', hub })).map(policyJson) }
    },
  )
  routes.get(
    '/holdfast/v1/provisioning/policies',
    { onRequest, schema: { tags, summary: "List the provisioning service's" } },
    async () => ({ value: (await policies.list({ kind: 'provisioning' })).map(policyJson) }),
  )
  routes.post(
    '/holdfast/v1/hubs/:hub/policies/:name/rotate',
    {
      onRequest,
      schema: {
        tags,
        summary: 'Renew a key',
        params: Type.Object({ hub: Type.String(), name: Type.String() }),
        body: KeyBody,
      },
    },
    async ({ params, body }) => rotate({ kind: 'hub', hub: hubNamed(hubs, params.hub).name }, params.name, body.key),
  )
  routes.post(
    '/holdfast/v1/provisioning/policies/:name/rotate',
    {
      onRequest,
      schema: { tags, summary: 'Renew a key', params: Type.Object({ name: Type.String() }), body: KeyBody },
    },
    async ({ params, body }) => rotate({ kind: 'provisioning' }, params.name, body.key),
  )
}

function policyJson({ name, rights, primaryKey, secondaryKey }: AccessPolicy) {
  return { name, rights, primaryKey, secondaryKey }
}
