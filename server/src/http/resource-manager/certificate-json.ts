import { parseCertificate } from '@holdfast/pki'
import type { CertificateAuthority } from '../../model/certificate-authority.ts'

/** A registered CA as the resource-manager API shows it. Times are in the form of RFC 9110 §5.6.7, as the SDKs parse them. */
export function certificateJson(authority: CertificateAuthority, place: { id: string; type: string }) {
  const certificate = parseCertificate(authority.certificate)
  return {
    id: `${place.id}/certificates/${authority.name}`,
    name: authority.name as string,
    type: place.type,
    etag: authority.etag,
    properties: {
      subject: certificate.subject.toString(),
      expiry: httpDate(certificate.notAfter),
      thumbprint: certificate.sha1.toUpperCase(),
      isVerified: authority.state.kind === 'verified',
      created: httpDate(authority.created),
      updated: httpDate(authority.updated),
      certificate: Buffer.from(authority.certificate).toString('base64'),
    },
  }
}

/** The answer to a request for a verification code: the only one that shows it. */
export function certificateWithCodeJson(authority: CertificateAuthority, place: { id: string; type: string }) {
  const { properties, ...envelope } = certificateJson(authority, place)
  const { state } = authority
  return {
    ...envelope,
    properties: { ...properties, ...(state.kind === 'code-issued' ? { verificationCode: state.code } : {}) },
  }
}

function httpDate(time: number): string {
  return new Date(time).toUTCString()
}
