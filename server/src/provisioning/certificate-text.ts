import { ParseError, parseCertificate, parseCertificates } from '@holdfast/pki'
import { HubError } from '../errors.ts'

const MAX_CERTIFICATE_TEXT = 64 * 1024

/** Accepts PEM, base64 of PEM and base64 of DER, of one certificate; returns DER. `member` names it in the error. */
export function certificateFromText(member: string, text: string): Uint8Array {
  if (text.length > MAX_CERTIFICATE_TEXT) throw invalid(`${member} is longer than ${MAX_CERTIFICATE_TEXT} characters`)
  try {
    if (text.includes('-----BEGIN')) return onlyCertificate(member, text)
    const bytes = base64Bytes(text)
    if (bytes === null) throw invalid(`${member} is neither PEM nor base64`)
    return bytes[0] === 0x30 ? parseCertificate(bytes).der : onlyCertificate(member, bytes.toString('latin1'))
  } catch (error) {
    if (error instanceof ParseError) throw invalid(`${member} is not a certificate: ${error.message}`, error)
    throw error
  }
}

function onlyCertificate(member: string, pem: string): Uint8Array {
  const [certificate, ...others] = parseCertificates(pem)
  if (certificate === undefined || others.length > 0)
    throw invalid(`${member} holds ${others.length + 1} certificates: give exactly one`)
  return certificate.der
}

function base64Bytes(text: string): Buffer | null {
  const packed = text.replace(/\s+/g, '')
  return /^[A-Za-z0-9+/]+={0,2}$/.test(packed) ? Buffer.from(packed, 'base64') : null
}

function invalid(message: string, cause?: unknown): HubError {
  return new HubError('argument-invalid', message, { cause })
}
