import { ParseError, parseCertificate, parseCertificates } from '@holdfast/pki'
import { HubError } from '../../errors.ts'

const MAX_TEXT = 256 * 1024
/** Tools that pass already encoded content to an SDK that encodes again send two layers. */
const MAX_LAYERS = 3
const BASE64 = /^[A-Za-z0-9+/\s]+={0,2}\s*$/
const DER_SEQUENCE = 0x30

/** Reads one certificate from PEM, base64 of PEM, base64 of DER, or either encoded once more; returns its DER. */
export function certificateFromText(text: string): Uint8Array {
  if (text.length > MAX_TEXT) throw invalid(`it is longer than ${MAX_TEXT} characters`)
  try {
    return decode(text, MAX_LAYERS)
  } catch (error) {
    if (error instanceof ParseError) throw invalid(error.message, error)
    throw error
  }
}

function decode(text: string, layers: number): Uint8Array {
  if (text.includes('-----BEGIN')) return onlyCertificate(text)
  if (layers === 0 || !BASE64.test(text)) throw invalid('it is neither PEM nor base64')
  const bytes = Buffer.from(text, 'base64')
  // Text of base64 or PEM starts with a letter, a dash or a blank; DER of a certificate with a SEQUENCE tag, a '0'.
  const inner = bytes.toString('latin1')
  if (bytes[0] === DER_SEQUENCE && !BASE64.test(inner)) return parseCertificate(bytes).der
  return decode(inner, layers - 1)
}

function onlyCertificate(pem: string): Uint8Array {
  const [certificate, ...others] = parseCertificates(pem)
  if (certificate === undefined || others.length > 0)
    throw invalid(`it holds ${certificate === undefined ? 0 : others.length + 1} certificates, not one`)
  return certificate.der
}

function invalid(reason: string, cause?: unknown): HubError {
  return new HubError(
    'argument-invalid',
    `The certificate cannot be read: ${reason}. Send PEM, or base64 of PEM or DER.`,
    {
      cause,
    },
  )
}
