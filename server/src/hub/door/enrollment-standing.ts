import { hash } from 'node:crypto'
import { parseCertificate, sameBytes } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import type { DeviceProvenance } from '../../model/device.ts'
import type { CertificateSlots, EnrollmentGroup, IndividualEnrollment } from '../../model/enrollment.ts'
import type { EnrollmentProof } from '../../model/ground.ts'
import { printable } from '../../model/ids.ts'
import type { AuthorityName, EnrollmentGroupId, HubName, RegistrationId } from '../../model/ids.ts'
import type { Registry } from '../../ports/registry.ts'
import { keyDigestOf } from '../findings/device-credential.ts'
import type { Finding } from '../findings/finding.ts'
import { finding } from '../findings/finding.ts'

export interface EnrollmentParts {
  readonly registry: Pick<Registry, 'enrollments' | 'authorities'>
  /** The hub whose register of CAs the enrollments refer to. */
  readonly home: HubName
}

/** Something by which an enrollment may have proven a device. */
export interface Evidence {
  readonly proof: EnrollmentProof
  /** To be compared by its bytes, which spares reading the enrolled one. */
  readonly certificate?: Certificate
}

/** An individual enrollment names the very certificate. */
export function leafEvidence(certificate: Certificate): Evidence {
  return { proof: leafProof(certificate.sha256), certificate }
}

/** A group names a CA: its name and its key (RFC 5280 §6.1.1 (d)), whose certificate may be renewed. */
export function authorityEvidence(certificate: Certificate): Evidence {
  return { proof: authorityProof(certificate), certificate }
}

/** By the digest of the key that the enrollment holds: a device of a group signs with one that is derived from it. */
export function keyEvidence(enrolledKeyDigest: string): Evidence {
  return { proof: `key:${enrolledKeyDigest}` }
}

function leafProof(sha256: string): EnrollmentProof {
  return `certificate:${sha256}`
}

function authorityProof({ subject, spkiKey }: Certificate): EnrollmentProof {
  return `authority:${hash('sha256', `${subject.key}\u0000${spkiKey}`, 'hex')}`
}

/**
 * The enrollment that put a device here must be there and enabled, and still hold one of these as what proves its devices:
 * which one is the answer. Without any the device does not rest on what the enrollment holds: the answer is empty.
 */
export async function judgeEnrollment(
  reference: DeviceProvenance['enrollment'],
  evidence: readonly Evidence[],
  parts: EnrollmentParts,
): Promise<{ readonly kind: 'enrolled'; readonly proof: EnrollmentProof } | Finding> {
  const { enrollments } = parts.registry
  // The provenance was written with ids that were parsed then.
  const enrollment =
    reference.kind === 'group'
      ? await enrollments.getGroup(reference.id as EnrollmentGroupId)
      : await enrollments.getIndividual(reference.id as RegistrationId)
  const name = `${reference.kind === 'group' ? 'group' : 'individual'} enrollment '${printable(reference.id)}'`
  const facts = { evidence: { enrollment: reference.id } }
  if (enrollment === null)
    return finding('enrollment-deleted', `The ${name} that put the device here was deleted.`, facts)
  if (enrollment.status === 'disabled')
    return finding('enrollment-disabled', `The ${name} that put the device here is disabled.`, facts)
  if (evidence.length === 0) return { kind: 'enrolled', proof: '' }
  const isEnrolled = await enrolledBy(enrollment, parts)
  const present = evidence.find(isEnrolled)
  if (present !== undefined) return { kind: 'enrolled', proof: present.proof }
  return finding(
    'enrollment-credential-replaced',
    `The ${name} put the device here by ${replacedIn(enrollment)}.`,
    facts,
  )
}

function replacedIn({ kind, attestation }: IndividualEnrollment | EnrollmentGroup): string {
  if (attestation.type === 'symmetricKey') return 'a credential that it does not hold any more; it holds other keys now'
  const noun = kind === 'group' ? 'a CA' : 'a certificate'
  return `${noun} that it does not hold any more: another one took its place`
}

async function enrolledBy(
  { kind, attestation }: IndividualEnrollment | EnrollmentGroup,
  parts: EnrollmentParts,
): Promise<(evidence: Evidence) => boolean> {
  if (attestation.type === 'symmetricKey') {
    const { primaryKey, secondaryKey } = attestation
    const proofs = [primaryKey, secondaryKey].map((key) => keyEvidence(keyDigestOf(key)).proof)
    return ({ proof }) => proofs.includes(proof)
  }
  const enrolled =
    'caReferences' in attestation
      ? await referred([attestation.caReferences.primary, attestation.caReferences.secondary], parts)
      : slots('clientCertificates' in attestation ? attestation.clientCertificates : attestation.signingCertificates)
  const proofOf = (der: Uint8Array): EnrollmentProof =>
    kind === 'group' ? authorityProof(parseCertificate(der)) : leafProof(hash('sha256', der, 'hex'))
  return ({ proof, certificate }) =>
    enrolled.some((der) => (certificate !== undefined && sameBytes(certificate.der, der)) || proofOf(der) === proof)
}

function slots({ primary, secondary }: CertificateSlots): readonly Uint8Array[] {
  return secondary === null ? [primary] : [primary, secondary]
}

/** Of the CAs that a group names those that are registered and proven. */
async function referred(
  names: readonly (AuthorityName | null)[],
  { registry, home }: EnrollmentParts,
): Promise<readonly Uint8Array[]> {
  const given = names.filter((name) => name !== null)
  const found = await Promise.all(given.map((name) => registry.authorities.get(home, name)))
  return found.flatMap((authority) => (authority?.state.kind === 'verified' ? [authority.certificate] : []))
}
