import { certificateId } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import type { Device, DeviceProvenance } from '../../model/device.ts'
import { anchorGround, certificateGround, enrollmentGround } from '../../model/ground.ts'
import type { Ground } from '../../model/ground.ts'
import type { HubName } from '../../model/ids.ts'
import type { Registry } from '../../ports/registry.ts'
import type { TrustAnchors } from '../authorities/trust-anchors.ts'
import { pathFinding } from '../findings/certificate-judgement.ts'
import type { Proof } from '../findings/device-credential.ts'
import type { Finding } from '../findings/finding.ts'
import { finding, isFinding } from '../findings/finding.ts'
import type { PathTrust } from '../revocation/path-trust.ts'
import { authorityEvidence, judgeEnrollment, keyEvidence, leafEvidence } from './enrollment-standing.ts'
import type { Evidence } from './enrollment-standing.ts'
import { revokedDirectly } from './revoked.ts'

export interface ProvenanceParts {
  readonly registry: Pick<Registry, 'enrollments' | 'authorities'>
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
 * `proof` is what the device showed now; a certificate or key that an operator registered in the place of the provisioned
 * one does not rest on the old path, nor on what the enrollment holds. `home` is the hub whose CAs and revocations the
 * provisioning service obeys.
 */
export async function judgeProvenance(
  { hub, provenance }: Device,
  proof: Pick<Proof, 'leaf' | 'shown'>,
  { home, now }: { readonly home: HubName; readonly now: number },
  parts: ProvenanceParts,
): Promise<Standing | Finding> {
  if (provenance === null) return { kind: 'standing', grounds: [], expiresAt: Infinity }
  const { enrollment, path } = provenance
  const leaf = proof.leaf !== undefined && path[0] === certificateId(proof.leaf) ? proof.leaf : null
  const proven = leaf === null ? null : await judgePath(leaf, path, { hubs: new Set([hub, home]), home, now }, parts)
  if (proven !== null && isFinding(proven)) return proven
  const evidence = evidenceOf(provenance, proven, proof.shown)
  const enrolled = await judgeEnrollment(enrollment, evidence, { registry: parts.registry, home })
  if (isFinding(enrolled)) return enrolled
  const grounds = [...(proven?.grounds ?? []), enrollmentGround(enrollment, enrolled.proof)]
  return { kind: 'standing', grounds, expiresAt: proven?.expiresAt ?? Infinity }
}

interface ProvenPath {
  readonly kind: 'proven'
  readonly leaf: Certificate
  readonly authorities: readonly Certificate[]
  readonly grounds: readonly Ground[]
  readonly expiresAt: number
}

/** By what the enrollment let the device in: its certificate, a CA above it, or the key that it signs with. */
function evidenceOf(
  { enrollment, keys = [] }: DeviceProvenance,
  proven: ProvenPath | null,
  shown: string,
): readonly Evidence[] {
  if (proven === null) return keys.filter(({ own }) => own === shown).map(({ enrolled }) => keyEvidence(enrolled))
  return enrollment.kind === 'group' ? proven.authorities.map(authorityEvidence) : [leafEvidence(proven.leaf)]
}

/** The path by which the device registered, by every fact that counts at these hubs. */
async function judgePath(
  leaf: Certificate,
  [, ...ids]: readonly string[],
  { hubs, home, now }: { readonly hubs: ReadonlySet<HubName>; readonly home: HubName; readonly now: number },
  parts: ProvenanceParts,
): Promise<ProvenPath | Finding> {
  const authorities = parts.trust.authoritiesOf(leaf, ids)
  if (authorities === undefined) return judgeForgotten(hubs, ids, parts.trust)
  for (const each of hubs) {
    const error = parts.trust.judge(each, [leaf, ...authorities], now)
    if (error !== undefined) return pathFinding(error)
  }
  const anchor = authorities.length === 0 ? null : await anchorOf(home, authorities, parts)
  if (anchor !== null && isFinding(anchor)) return anchor
  const path = [certificateId(leaf), ...ids]
  const certificates = [...hubs].flatMap((each) => path.map((id) => certificateGround(each, id)))
  return {
    kind: 'proven',
    leaf,
    authorities,
    grounds: [...certificates, ...(anchor === null ? [] : [anchorGround(home, anchor.sha256)])],
    expiresAt: Math.min(...authorities.map(({ notAfter }) => notAfter)),
  }
}

/** Of a CA that is known by its id alone nobody can tell whether its key was revoked, or a list names it. */
function judgeForgotten(hubs: ReadonlySet<HubName>, authorities: readonly string[], trust: PathTrust): Finding {
  const what = 'A CA of the path that the device was provisioned by'
  for (const hub of hubs) {
    for (const id of authorities) {
      const row = trust.revocations.facts(hub).rowOfId(id)
      if (row !== undefined) return revokedDirectly(row, what)
    }
  }
  return finding('chain:revocation-unknown', `${what} is not known any more, nor whether it was revoked.`, {
    remedy: 'Let the device register with the provisioning service again.',
  })
}

/** The CA of the path that is still registered and proven; it may have been renewed meanwhile. */
async function anchorOf(
  home: HubName,
  authorities: readonly Certificate[],
  { anchors }: ProvenanceParts,
): Promise<Certificate | Finding> {
  const verified = await anchors.forHub(home)
  const digests = await anchors.digestsOf(home)
  for (const authority of authorities) {
    const present = digests.has(authority.sha256) ? authority : verified.find(authority)
    if (present !== undefined) return present
  }
  const name = authorities.at(-1)?.subject.toString() ?? ''
  return finding(
    'authority-removed',
    `The device was provisioned by a path under the CA "${name}", which is not registered and proven at hub '${home}' any more.`,
  )
}
