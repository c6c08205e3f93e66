import { isDeepStrictEqual } from 'node:util'
import { certificateId } from '@holdfast/pki'
import { keyDigestOf } from '../hub/findings/device-credential.ts'
import { newDevice } from '../hub/registry/device-spec.ts'
import { nextEtag } from '../hub/etags.ts'
import type { Device, DeviceAuthentication, DeviceProvenance } from '../model/device.ts'
import type { Enrollment } from '../model/enrollment.ts'
import type { Randomness } from '../ports/clock.ts'
import type { AllocationChoice } from './allocation.ts'
import type { RegistrationEvidence } from './authenticate-registration.ts'
import type { Decision } from './decide.ts'

/** What a hub's device gets from its registration. */
export interface DeviceCredentials {
  readonly authentication: DeviceAuthentication
  readonly provenance: DeviceProvenance
}

/**
 * The device proves itself to the hub by what it proved itself with here: the very certificate, so that its CA need not
 * be registered there, or the same keys.
 */
export function credentialsFrom(evidence: RegistrationEvidence, enrollment: Enrollment): DeviceCredentials {
  const origin = enrollmentReference(enrollment)
  if (evidence.kind === 'symmetricKey') {
    const { primaryKey, secondaryKey } = evidence
    return {
      authentication: { type: 'sas', primaryKey, secondaryKey },
      provenance: { enrollment: origin, path: [], keys: keysOf(evidence, enrollment) },
    }
  }
  const { leaf, path } = evidence
  const certificates = path?.certificates ?? [leaf]
  return {
    authentication: { type: 'selfSigned', primaryThumbprint: leaf.sha256.toUpperCase(), secondaryThumbprint: null },
    provenance: { enrollment: origin, path: certificates.map(certificateId) },
  }
}

function keysOf(
  { primaryKey, secondaryKey }: Extract<RegistrationEvidence, { kind: 'symmetricKey' }>,
  { attestation }: Enrollment,
): NonNullable<DeviceProvenance['keys']> {
  // Who proved himself by a key was enrolled by one.
  if (attestation.type !== 'symmetricKey') return []
  return [
    { own: keyDigestOf(primaryKey), enrolled: keyDigestOf(attestation.primaryKey) },
    { own: keyDigestOf(secondaryKey), enrolled: keyDigestOf(attestation.secondaryKey) },
  ]
}

export function enrollmentReference(enrollment: Enrollment): DeviceProvenance['enrollment'] {
  return enrollment.kind === 'individual'
    ? { kind: 'individual', id: enrollment.registrationId }
    : { kind: 'group', id: enrollment.enrollmentGroupId }
}

/** The hub's device as a decision leaves it, or null when the one that is there need not change. */
export function deviceAfter(
  decision: Exclude<Decision, { kind: 'refuse' }>,
  { enrollment, choice }: { readonly enrollment: Enrollment; readonly choice: AllocationChoice | null },
  credentials: DeviceCredentials,
  now: number,
  random: Randomness,
): Device | null {
  if (decision.kind === 'keep') {
    const { device } = decision
    const { authentication, provenance, etag } = device
    const sealed = enrollment.sealed ?? device.sealed
    const isSame = isDeepStrictEqual({ authentication, provenance }, credentials) && sealed === device.sealed
    return isSame ? null : { ...device, ...credentials, ...(sealed && { sealed }), etag: nextEtag(etag) }
  }
  const { hub, deviceId } = decision.place
  const brought = choice?.kind === 'chosen' ? choice.initialTwin : null
  const { tags = {}, desired = {} } = brought ?? enrollment.initialTwin ?? {}
  const { authentication } = credentials
  const spec = {
    deviceId,
    capabilities: enrollment.capabilities,
    authentication: { type: authentication.type, ...secretsOf(authentication) },
    ...(enrollment.sealed && { sealed: enrollment.sealed }),
    tags,
    desired,
  }
  const device = { ...newDevice(hub, spec, now, random), ...credentials }
  if (decision.kind === 'assign') return device
  const carried = { ...decision.status, ...(enrollment.sealed && { sealed: enrollment.sealed }) }
  if (decision.kind === 'reset') return { ...device, ...carried }
  const { twin, capabilities } = decision.from
  return { ...device, ...carried, twin, capabilities }
}

function secretsOf(authentication: DeviceAuthentication) {
  if (authentication.type === 'sas') return { symmetricKey: authentication }
  return authentication.type === 'selfSigned' ? { x509Thumbprint: authentication } : {}
}
