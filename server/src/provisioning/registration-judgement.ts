import { sameBytes } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { instant } from '../hub/certificate-judgement.ts'
import { judgeCommonName } from '../hub/common-name.ts'
import type { Finding } from '../hub/finding.ts'
import { finding, isFinding } from '../hub/finding.ts'
import { coversPath } from '../hub/sas-token.ts'
import type { SasToken } from '../hub/sas-token.ts'
import { judgeToken, readToken } from '../hub/token-judgement.ts'
import type { CertificateSlots } from '../model/enrollment.ts'
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
  const message = `The certificate "${leaf.subject.toString()}" is neither the primary nor the secondary one of the enrollment.`
  return finding('attestation-mismatch', message, { evidence: { sha256: leaf.sha256 } })
}

/** For a self-signed certificate, whose dates no path validation has looked at. Both dates are inclusive. */
export function judgeValidity({ subject, notBefore, notAfter }: Certificate, now: number): Finding | null {
  if (now < notBefore)
    return finding(
      'certificate-not-yet-valid',
      `The certificate "${subject.toString()}" is valid only from ${instant(notBefore)}.`,
    )
  if (now > notAfter)
    return finding('certificate-expired', `The certificate "${subject.toString()}" expired at ${instant(notAfter)}.`, {
      remedy: 'Enroll a new certificate of the device as the secondary one before the old one ends.',
    })
  return null
}

/** Reads a token and judges what needs no key: its form, its expiry and whose policy it names. */
export function readRegistrationToken(text: string, now: number): { kind: 'token'; token: SasToken } | Finding {
  const read = readToken(text, now)
  if (isFinding(read) || read.token.policy === null || read.token.policy === REGISTRATION_POLICY) return read
  return finding('token-policy-unknown', `The token names the policy '${read.token.policy}'.`, {
    remedy: `Sign the token with the key of the device and name the policy '${REGISTRATION_POLICY}' (skn).`,
  })
}

/** Was the token signed with one of the keys, for this very registration? */
export function judgeRegistrationToken(
  token: SasToken,
  keys: readonly string[],
  { scope, registrationId, signer }: { scope: string; registrationId: RegistrationId; signer: string },
): Finding | null {
  const path = ['registrations', registrationId]
  const verdict = judgeToken(token, {
    keys,
    rules: ['iot'],
    covers: ({ host, segments }) =>
      host === scope.toLowerCase() && segments.length === path.length && coversPath(segments, path, 'any-case'),
    signer,
    wanted: `${scope}/${path.join('/')}`,
  })
  if (verdict?.rule !== 'token-resource-mismatch') return verdict
  return { ...verdict, remedy: `Make the token for the resource (sr) '${scope}/${path.join('/')}'.` }
}
