import { certificateFinding, parseCertificate, ParseError } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import type { Finding } from '../findings/finding.ts'
import { finding, isFinding } from '../findings/finding.ts'

/** Reads what was uploaded and judges it: a certificate that may become a trust anchor now, or why not. */
export function acceptAuthority(der: Uint8Array, now: number): Certificate | Finding {
  const certificate = readAuthority(der)
  return isFinding(certificate) ? certificate : (judgeAuthority(certificate, now) ?? certificate)
}

function readAuthority(der: Uint8Array): Certificate | Finding {
  try {
    return parseCertificate(der)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    return finding('authority-refused', `The file is not a certificate: ${error.message}.`, {
      remedy: 'Upload one certificate, as PEM or DER.',
      evidence: { reason: 'malformed-certificate' },
    })
  }
}

/** A trust anchor must be what a CA between others must be: allowed to issue, strong, signed by a strong algorithm, valid. */
function judgeAuthority(certificate: Certificate, now: number): Finding | null {
  const found = certificateFinding(certificate, {
    role: 'intermediate',
    now,
    profile: 'compatible',
    purpose: 'clientAuth',
  })
  if (found === undefined) return null
  // "was used to issue another certificate" is the path's story; here the certificate was only offered.
  const problem = found.rule === 'not-a-ca' ? 'is not one of a CA (basicConstraints cA is not TRUE)' : found.problem
  return finding('authority-refused', `The certificate ${problem}.`, {
    remedy:
      found.rule === 'not-a-ca'
        ? 'Register the certificate of the CA that issues the devices.'
        : sentence(found.remedy),
    evidence: { reason: found.rule, subject: certificate.subject.toString(), ...found.evidence },
  })
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
