import { HubError } from '../../errors.ts'
import type { AccessPolicy, PolicyOwner, Right } from '../../model/access-policy.ts'
import { printable } from '../../model/ids.ts'
import type { Bus } from '../../ports/bus.ts'
import type { Randomness } from '../../ports/clock.ts'
import type { PolicyStore, Registry } from '../../ports/registry.ts'

/** Gives an owner the policies it starts with, each with fresh keys; those that exist are left alone. */
export async function ensurePolicies(
  registry: Pick<Registry, 'policies'>,
  owner: PolicyOwner,
  defaults: readonly { readonly name: string; readonly rights: readonly Right[] }[],
  random: Randomness,
): Promise<void> {
  const present = new Set((await registry.policies.list(owner)).map((policy) => policy.name))
  for (const { name, rights } of defaults) {
    if (!present.has(name)) await registry.policies.put(newPolicy(owner, name, rights, random))
  }
}

/**
 * Makes a new key in the place of one of a policy's; whatever was let in by the old one ends. Rejects with
 * `argument-invalid` when there is no such policy.
 */
export async function renewPolicyKey(
  owner: PolicyOwner,
  name: string,
  key: 'primary' | 'secondary',
  { policies, bus, random }: { readonly policies: PolicyStore; readonly bus: Bus; readonly random: Randomness },
): Promise<AccessPolicy> {
  const policy = await policies.get(owner, name)
  if (policy === null) throw new HubError('argument-invalid', `There is no access policy '${printable(name)}'.`)
  const renewed = { ...policy, [key === 'primary' ? 'primaryKey' : 'secondaryKey']: newKey(random) }
  await policies.put(renewed)
  bus.publish({ kind: 'policy-changed', owner, name })
  return renewed
}

function newPolicy(owner: PolicyOwner, name: string, rights: readonly Right[], random: Randomness): AccessPolicy {
  return { owner, name, rights, primaryKey: newKey(random), secondaryKey: newKey(random) }
}

/** 32 random bytes, base64: as long as the output of the HMAC that it keys (RFC 2104 §3). */
export function newKey(random: Randomness): string {
  return Buffer.from(random.bytes(32)).toString('base64')
}

/** Whoever may write the registry may read it, as on the service. */
export function grants(rights: readonly Right[], wanted: Right): boolean {
  return rights.includes(wanted) || (wanted === 'RegistryRead' && rights.includes('RegistryWrite'))
}
