import { certificateId } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import type { Device, DeviceProvenance } from '../../model/device.ts'
import type { HubName } from '../../model/ids.ts'
import { printable } from '../../model/ids.ts'
import { anchorGround, certificateGround, enrollmentGround } from '../../model/ground.ts'
import type { Ground } from '../../model/ground.ts'
import type { EnrollmentGroupId, RegistrationId } from '../../model/ids.ts'
import type { Registry } from '../../ports/registry.ts'
import { pathFinding } from '../findings/certificate-judgement.ts'
import type { Finding } from '../findings/finding.ts'
import { finding } from '../findings/finding.ts'
import type { PathTrust } from '../revocation/path-trust.ts'
import { revokedDirectly } from './revoked.ts'
import type { TrustAnchors } from '../authorities/trust-anchors.ts'

export interface ProvenanceParts {
  readonly registry: Pick<Registry, 'enrollments'>
  readonly anchors: TrustAnchors
  readonly trust: PathTrust
}

/** What a device that the provisioning service put here rests on besides its own credential. */
export interface Standing {
  readonly kind: 'standing'
  readonly grounds: readonly Ground[]
  /** ms; Infinity when nothing of it ends. */
  readonly expiresAt: number
}

/**
 * The provisioning service vouched for this device, by an enrollment and a path that were good then: are they still?
 * `leaf` is what the device showed now; a certificate that an operator registered in the place of the provisioned one
 * does not rest on the old path. `home` is the hub whose CAs and revocations the provisioning service obeys.
 */
export async function judgeProvenance(
  { hub, provenance }: Device,
  leaf: Certificate | null,
  { home, now }: { readonly home: HubName; readonly now: number },
  parts: ProvenanceParts,
): Promise<Standing | Finding> {
  if (provenance === null) return { kind: 'standing', grounds: [], expiresAt: Infinity }
  const wrong = await judgeEnrollment(provenance.enrollment, parts.registry)
  if (wrong !== null) return wrong
  const enrollment = enrollmentGround(provenance.enrollment)
  const [first, ...authorities] = provenance.path
  if (leaf === null || first !== certificateId(leaf))
    return { kind: 'standing', grounds: [enrollment], expiresAt: Infinity }
  const path = [first, ...authorities]
  const hubs = new Set([hub, home])
  for (const each of hubs) {
    const revoked = judgePath(each, leaf, authorities, now, parts.trust)
    if (revoked !== null) return revoked
  }
  const anchor = authorities.length === 0 ? null : await anchorOf(home, authorities, parts)
  if (anchor !== null && typeof anchor !== 'string') return anchor
  const certificates = [...hubs].flatMap((each) => path.map((id) => certificateGround(each, id)))
  const known = authorities.flatMap((id) => parts.trust.revocations.known.get(id) ?? [])
  return {
    kind: 'standing',
    grounds: [...certificates, enrollment, ...(anchor === null ? [] : [anchorGround(home, anchor)])],
    expiresAt: Math.min(...known.map(({ notAfter }) => notAfter)),
  }
}

/** The enrollment that put the device here must be there and enabled. */
export async function judgeEnrollment(
  { kind, id }: DeviceProvenance['enrollment'],
  { enrollments }: Pick<Registry, 'enrollments'>,
): Promise<Finding | null> {
  // The provenance was written with ids that were parsed then.
  const enrollment =
    kind === 'group'
      ? await enrollments.getGroup(id as EnrollmentGroupId)
      : await enrollments.getIndividual(id as RegistrationId)
  const noun = kind === 'group' ? 'group enrollment' : 'individual enrollment'
  const evidence = { enrollment: id }
  if (enrollment === null)
    return finding('enrollment-deleted', `The ${noun} '${printable(id)}' that put the device here was deleted.`, {
      evidence,
    })
  if (enrollment.status === 'enabled') return null
  return finding('enrollment-disabled', `The ${noun} '${printable(id)}' that put the device here is disabled.`, {
    evidence,
  })
}

/** The whole path by every fact when its CAs are known; what is known by its id alone, by decisions about that id. */
function judgePath(
  hub: HubName,
  leaf: Certificate,
  authorities: readonly string[],
  now: number,
  trust: PathTrust,
): Finding | null {
  const known = authorities.flatMap((id) => trust.revocations.known.get(id) ?? [])
  if (known.length === authorities.length) {
    const error = trust.judge(hub, [leaf, ...known], now)
    return error === undefined ? null : pathFinding(error)
  }
  const facts = trust.revocations.facts(hub)
  for (const id of authorities) {
    const row = facts.rowOfId(id)
    if (row !== undefined) return revokedDirectly(row, 'A CA of the path that the device was provisioned by')
  }
  return null
}

/** `certificateId` of the CA of the path that is still registered and proven; it may have been renewed meanwhile. */
async function anchorOf(
  home: HubName,
  authorities: readonly string[],
  { anchors, trust }: ProvenanceParts,
): Promise<string | Finding> {
  const verified = await anchors.forHub(home)
  const ids = await anchors.idsOf(home)
  for (const id of authorities) {
    if (ids.has(id)) return id
    const certificate = trust.revocations.known.get(id)
    const renewed = certificate && verified.find(certificate)
    if (renewed !== undefined) return certificateId(renewed)
  }
  const name = trust.revocations.known.get(authorities.at(-1) ?? '')?.subject.toString()
  return finding(
    'authority-removed',
    `The device was provisioned by a path under the CA ${name === undefined ? authorities.at(-1) : `"${name}"`}, ` +
      `which is not registered and proven at hub '${home}' any more.`,
  )
}
