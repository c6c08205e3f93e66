import { parseCertificate, sameBytes } from '@holdfast/pki'
import type { Certificate, VerifiedPath } from '@holdfast/pki'
import { judgeDates } from '../hub/findings/certificate-judgement.ts'
import { judgeCommonName } from '../hub/findings/common-name.ts'
import type { Finding } from '../hub/findings/finding.ts'
import { finding, isFinding } from '../hub/findings/finding.ts'
import { coversPath } from '../hub/door/sas-token.ts'
import { readToken } from '../hub/door/token-judgement.ts'
import type { ReadToken } from '../hub/door/token-judgement.ts'
import type { CertificateSlots, Enrollment } from '../model/enrollment.ts'
import type { RegistrationId } from '../model/ids.ts'

/** The policy name that device tokens carry; tokens without one mean the same. */
const REGISTRATION_POLICY = 'registration'

/** A registration id ignores case, and so does the one common name that must equal it (within ASCII). Null when it does. */
export function judgeRegistrationName(leaf: Certificate, id: RegistrationId, presentedId: string): Finding | null {
  const equal = leaf.subject.commonNames.find((name) => /^[\u0020-\u007e]+$/.test(name) && name.toLowerCase() === id)
  const verdict = judgeCommonName(leaf, equal ?? presentedId, 'registration id')
  return verdict?.rule === 'common-name-mismatch' ? { ...verdict, rule: 'registration-id-mismatch' } : verdict
}

/** An individual enrollment holds the very certificate, not just its name or key. */
export function judgeEnrolledCertificate(leaf: Certificate, { primary, secondary }: CertificateSlots): Finding | null {
  if (sameBytes(leaf.der, primary) || (secondary !== null && sameBytes(leaf.der, secondary))) return null
  const enrolled = [primary, ...(secondary === null ? [] : [secondary])].map((der) => parseCertificate(der).sha256)
  const message = `The certificate "${leaf.subject.toString()}" (SHA-256 ${leaf.sha256}) is neither the primary nor the secondary one of the enrollment (${enrolled.join(' and ')}).`
  return finding('attestation-mismatch', message, { evidence: { sha256: leaf.sha256, enrolled: enrolled.join(' ') } })
}

/** For a self-signed certificate, which is enrolled itself. Null when it is valid. */
export function judgeValidity(leaf: Certificate, now: number): Finding | null {
  const stale = judgeDates(leaf, now)
  if (stale?.rule !== 'certificate-expired') return stale
  return { ...stale, remedy: 'Enroll a new certificate of the device as the secondary one before the old one ends.' }
}

/**
 * Reads a token and judges what needs no key: its form, its expiry, whose policy it names and whether it is for this very
 * registration. Whether it is genuine is left to say.
 */
export function readRegistrationToken(
  text: string,
  { scope, registrationId }: { readonly scope: string; readonly registrationId: RegistrationId },
  now: number,
): ReadToken | Finding {
  const read = readToken(text, now)
  if (isFinding(read)) return read
  const { policy, resource } = read.token
  if (policy !== null && policy !== REGISTRATION_POLICY)
    return finding('token-policy-unknown', `The token names the policy '${policy}'.`, {
      remedy: `Sign the token with the key of the device and name the policy '${REGISTRATION_POLICY}' (skn).`,
    })
  const path = ['registrations', registrationId]
  const isOurs = resource.host === scope.toLowerCase() && resource.segments.length === path.length
  if (isOurs && coversPath(resource.segments, path, 'any-case')) return read
  const wanted = `${scope}/${path.join('/')}`
  return finding('token-resource-mismatch', `The token is for '${resource.text}' and was used at '${wanted}'.`, {
    remedy: `Make the token for the resource (sr) '${wanted}'.`,
  })
}

/** No enrollment is about a device whose chain is good: which CAs a group could name. */
export function notEnrolled(id: RegistrationId, { certificates }: VerifiedPath): Finding {
  const authorities = certificates.slice(1).map(({ subject }) => `"${subject.toString()}"`)
  return finding(
    'enrollment-unknown',
    `'${id}' has no individual enrollment, and no group names any CA of its chain: ${authorities.join(', ')}.`,
  )
}

export function blocked(enrollment: Enrollment): Finding {
  const name =
    enrollment.kind === 'individual'
      ? `the individual enrollment '${enrollment.registrationId}'`
      : `the enrollment group '${enrollment.enrollmentGroupId}'`
  return finding('enrollment-disabled', `The device proved itself, and ${name} is disabled.`)
}
