import type { AccessPolicy } from '../../model/access-policy.ts'
import { HUB_RIGHTS, PROVISIONING_RIGHTS } from '../../model/access-policy.ts'

/** An access policy with its keys, for the `listkeys` operations. SDKs know the rights only in this order. */
export function policyKeysJson(policy: AccessPolicy) {
  const rights = [...HUB_RIGHTS, ...PROVISIONING_RIGHTS].filter((right) => policy.rights.includes(right))
  return {
    keyName: policy.name,
    primaryKey: policy.primaryKey,
    secondaryKey: policy.secondaryKey,
    rights: rights.join(', '),
  }
}
