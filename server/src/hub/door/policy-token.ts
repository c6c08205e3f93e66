import type { AccessPolicy, PolicyOwner, Right } from '../../model/access-policy.ts'
import { policyKeyGround } from '../../model/ground.ts'
import type { Ground, SharedGround } from '../../model/ground.ts'
import { printable } from '../../model/ids.ts'
import type { PolicyStore } from '../../ports/registry.ts'
import { grants } from '../registry/access-policies.ts'
import type { Finding } from '../findings/finding.ts'
import { finding, isFinding } from '../findings/finding.ts'
import { keyDigestOf } from '../findings/device-credential.ts'
import type { SasKeyRule, SasResource, SasToken } from './sas-token.ts'
import { judgeToken, readToken } from './token-judgement.ts'

/** What a token of a shared access policy is shown for. */
export interface PolicyRequest {
  readonly owner: PolicyOwner
  readonly right: Right
  readonly rules: readonly SasKeyRule[]
  readonly covers: (resource: SasResource) => boolean
  /** The resource that is asked for, for messages. */
  readonly wanted: string
}

export interface PolicyProof {
  readonly kind: 'policy'
  readonly policy: AccessPolicy
  readonly token: SasToken
  /** The key that signed it, and the right that it was shown for. */
  readonly ground: Ground
}

/** A service's token: is it there, whole, alive, and does the policy it names allow this? */
export async function provePolicy(
  text: string | null,
  request: PolicyRequest,
  policies: PolicyStore,
  now: number,
): Promise<PolicyProof | Finding> {
  if (!text) return finding('token-missing', `Access to ${printable(request.wanted, 200)} needs a token.`)
  const read = readToken(text, now)
  if (isFinding(read)) return read
  const { token } = read
  if (token.policy === null) return finding('token-policy-unknown', 'The token names no shared access policy (skn).')
  const judged = await judgePolicyToken(token, token.policy, request, policies)
  return isFinding(judged) ? { ...judged, evidence: { policy: printable(token.policy) } } : judged
}

/** Was the token signed with a key of the named policy, for this resource, and does the policy carry the right? */
export async function judgePolicyToken(
  token: SasToken,
  name: string,
  { owner, right, ...request }: PolicyRequest,
  policies: PolicyStore,
): Promise<PolicyProof | Finding> {
  const signer = `policy '${printable(name)}'`
  const policy = await policies.get(owner, name)
  if (policy === null) return finding('token-policy-unknown', `There is no shared access ${signer}.`)
  const judged = judgeToken(token, { keys: [policy.primaryKey, policy.secondaryKey], signer, ...request })
  if (isFinding(judged)) return judged
  if (!grants(policy.rights, right)) {
    const message = `The ${signer} lacks the right ${right}; it has ${policy.rights.join(', ')}.`
    return finding('token-right-missing', message)
  }
  const ground = policyKeyGround(owner, name, right, keyDigestOf(judged.key))
  return { kind: 'policy', policy, token, ground }
}

/** Does the policy still hold the key, and carry the right? */
export async function policyKeyStands(
  { owner, name, right, keyDigest }: Extract<SharedGround, { kind: 'policy' }>,
  policies: Pick<PolicyStore, 'get'>,
): Promise<boolean> {
  const policy = await policies.get(owner, name)
  if (policy === null || !grants(policy.rights, right)) return false
  return [policy.primaryKey, policy.secondaryKey].some((key) => keyDigestOf(key) === keyDigest)
}
