import type { AccessPolicy, PolicyOwner, Right } from '../../model/access-policy.ts'
import type { Randomness } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'

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
