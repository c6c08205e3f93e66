import type { HubRight, PolicyOwner, ProvisioningRight } from './access-policy.ts'
import type { DeviceProvenance } from './device.ts'
import type { DeviceId, HubName } from './ids.ts'

/**
 * Something that a verdict rests on and whose loss ends at once what was let in by it. A hub is part of it: what one hub
 * revokes another may trust. No two kinds read alike, and none holds a secret: keys are named by their digest.
 */
export type Ground = string & { readonly ground: unique symbol }

/** What of an enrollment proved a device, so that replacing it is told from changing something else. Empty: nothing. */
export type EnrollmentProof = string

/** A certificate of a path that this hub relies on. */
export function certificateGround(hub: HubName, certificateId: string): Ground {
  return `certificate/${hub}/${certificateId}` as Ground
}

/** One generation of a device. */
export function deviceGround(hub: HubName, deviceId: DeviceId, generationId: string): Ground {
  return `device/${hub}/${deviceId}/${generationId}` as Ground
}

/** The registration of a CA at this hub, by the SHA-256 of its certificate: another one may have its issuer and serial. */
export function anchorGround(hub: HubName, sha256: string): Ground {
  return `anchor/${hub}/${sha256}` as Ground
}

export function enrollmentGround({ kind, id }: DeviceProvenance['enrollment'], proof: EnrollmentProof): Ground {
  return `enrollment/${kind}/${id}/${proof}` as Ground
}

/** A key of a shared access policy, by its digest, for one of the rights that the policy carries. */
export function policyKeyGround(owner: PolicyOwner, name: string, right: PolicyRight, keyDigest: string): Ground {
  return `policy/${ownerName(owner)}/${name}/${right}/${keyDigest}` as Ground
}

/** A log-in of an operator. */
export function operatorGround(name: string, credentialId: string): Ground {
  return `operator/${name}/${credentialId}` as Ground
}

type PolicyRight = HubRight | ProvisioningRight

/** A ground that is one of several of the same subject: who hears that the subject changed reads which ones still stand. */
export type SharedGround =
  | { readonly kind: 'anchor'; readonly hub: HubName; readonly sha256: string }
  | {
      readonly kind: 'enrollment'
      readonly enrollment: DeviceProvenance['enrollment']
      readonly proof: EnrollmentProof
    }
  | {
      readonly kind: 'policy'
      readonly owner: PolicyOwner
      readonly name: string
      readonly right: PolicyRight
      readonly keyDigest: string
    }

/** Null for a ground that is taken away by its own name: a certificate, a device, an operator's log-in. */
export function readSharedGround(ground: Ground): SharedGround | null {
  // The two kinds that each session has several of.
  if (ground.startsWith('certificate/') || ground.startsWith('device/')) return null
  // Each was made by a function above, of parts that were parsed then; a policy's name alone may contain a slash.
  const [kind, first = '', second = '', ...rest] = ground.split('/')
  switch (kind) {
    case 'anchor':
      return { kind, hub: first as HubName, sha256: second }
    case 'enrollment':
      return { kind, enrollment: { kind: first as 'individual' | 'group', id: second }, proof: rest.join('/') }
    case 'policy': {
      const [keyDigest = '', right, ...name] = [second, ...rest].toReversed()
      return {
        kind,
        owner: first === PROVISIONING ? { kind: 'provisioning' } : { kind: 'hub', hub: first as HubName },
        name: name.toReversed().join('/'),
        right: right as PolicyRight,
        keyDigest,
      }
    }
    default:
      return null
  }
}

/** What a shared ground is about, and what a hint names. */
export const subjects = {
  anchors: (hub: HubName): string => `anchor/${hub}`,
  enrollment: ({ kind, id }: DeviceProvenance['enrollment']): string => `enrollment/${kind}/${id}`,
  policy: (owner: PolicyOwner, name: string): string => `policy/${ownerName(owner)}/${name}`,
} as const

export function subjectOf(ground: Ground): string | null {
  const shared = readSharedGround(ground)
  switch (shared?.kind) {
    case 'anchor':
      return subjects.anchors(shared.hub)
    case 'enrollment':
      return subjects.enrollment(shared.enrollment)
    case 'policy':
      return subjects.policy(shared.owner, shared.name)
    default:
      return null
  }
}

/** `certificateId` of a certificate that this hub relies on, or null for another ground. */
export function certificateOf(ground: Ground, hub: HubName): string | null {
  const prefix = `certificate/${hub}/`
  return ground.startsWith(prefix) ? ground.slice(prefix.length) : null
}

/** No hub has this name: it has a blank. */
const PROVISIONING = 'provisioning service'

function ownerName(owner: PolicyOwner): string {
  return owner.kind === 'hub' ? owner.hub : PROVISIONING
}
