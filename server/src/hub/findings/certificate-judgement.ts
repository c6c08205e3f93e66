import { certificateId, parseCertificate, ParseError, span } from '@holdfast/pki'
import type { Certificate, TrustError } from '@holdfast/pki'
import { timingSafeEqual } from 'node:crypto'
import type { DeviceAuthentication } from '../../model/device.ts'
import { printable } from '../../model/ids.ts'
import type { Proof } from './device-credential.ts'
import { CERTIFICATE_AUTH_METHOD } from './device-credential.ts'
import type { Finding } from './finding.ts'
import { finding } from './finding.ts'

/** Certificates as sent, leaf first. */
export interface ParsedChain {
  readonly kind: 'chain'
  readonly leaf: Certificate
  readonly intermediates: readonly Certificate[]
}

/**
 * CA certificates by the bytes that a client sent. Those who send the same bytes share the object (net/sent-chains), which
 * is what bounds this: it holds an entry for as long as the bytes are held.
 */
const issuers = new WeakMap<Uint8Array, Certificate>()

/** Reads the chain strictly; one unreadable certificate refuses it as a whole. `chain` holds at least the leaf. */
export function parseChain(chain: readonly Uint8Array[]): ParsedChain | Finding {
  const certificates: Certificate[] = []
  for (const [position, der] of chain.entries()) {
    try {
      certificates.push(position === 0 ? parseCertificate(der) : parseIssuer(der))
    } catch (error) {
      if (!(error instanceof ParseError)) throw error
      return finding(
        'chain:malformed-certificate',
        `Certificate ${position + 1} of the chain is malformed: ${error.message}.`,
        {
          remedy:
            "Replace it in the device's chain file; `holdfast pki inspect` shows what can be read of a certificate.",
        },
      )
    }
  }
  const [leaf, ...intermediates] = certificates
  if (leaf === undefined) return finding('client-certificate-missing', 'The client sent no certificate.')
  return { kind: 'chain', leaf, intermediates }
}

function parseIssuer(der: Uint8Array): Certificate {
  const known = issuers.get(der)
  if (known !== undefined) return known
  const certificate = parseCertificate(der)
  issuers.set(der, certificate)
  return certificate
}

/**
 * Does the certificate have one of the thumbprints, and is it valid now? Neither its name nor its issuer matters:
 * the operator registered this very certificate.
 */
export function judgeThumbprint(
  authentication: Extract<DeviceAuthentication, { type: 'selfSigned' }>,
  leaf: Certificate,
  now: number,
): Proof | Finding {
  const { primaryThumbprint, secondaryThumbprint } = authentication
  const thumbprint = [primaryThumbprint, secondaryThumbprint].find((registered) => hasThumbprint(leaf, registered))
  if (typeof thumbprint !== 'string') return thumbprintMismatch(authentication, leaf)
  const stale = judgeDates(leaf, now)
  if (stale !== null) return stale
  return {
    kind: 'proof',
    authMethod: CERTIFICATE_AUTH_METHOD,
    path: [certificateId(leaf)],
    leaf,
    shown: thumbprint,
    expiresAt: leaf.notAfter,
  }
}

/** SHA-1 by 40 hex digits, SHA-256 by 64, in any case. */
function hasThumbprint(leaf: Certificate, thumbprint: string | null): boolean {
  if (thumbprint === null) return false
  const expected = Buffer.from(thumbprint, 'hex')
  const actual = Buffer.from(expected.length === 20 ? leaf.sha1 : leaf.sha256, 'hex')
  return expected.length === actual.length && timingSafeEqual(expected, actual)
}

/** For a certificate whose dates no path validation has looked at. Both dates are inclusive. Null when it is valid. */
export function judgeDates({ subject, notBefore, notAfter }: Certificate, now: number): Finding | null {
  const second = Math.floor(now / 1000) * 1000
  const name = `The certificate "${printable(subject.toString(), 200)}"`
  const evidence = { now: instant(second), notBefore: instant(notBefore), notAfter: instant(notAfter) }
  if (second < notBefore) {
    const early = `it is ${evidence.now} now (${span(notBefore - second)} too early)`
    return finding('certificate-not-yet-valid', `${name} is valid only from ${evidence.notBefore}; ${early}.`, {
      evidence,
    })
  }
  if (second <= notAfter) return null
  const late = `it is ${evidence.now} now (${span(second - notAfter)} too late)`
  return finding('certificate-expired', `${name} expired at ${evidence.notAfter}; ${late}.`, { evidence })
}

function thumbprintMismatch(
  { primaryThumbprint, secondaryThumbprint }: Extract<DeviceAuthentication, { type: 'selfSigned' }>,
  leaf: Certificate,
): Finding {
  const registered = [primaryThumbprint, secondaryThumbprint].filter((thumbprint) => thumbprint !== null)
  const evidence = {
    sha1: leaf.sha1,
    sha256: leaf.sha256,
    ...(registered.length > 0 && { registered: registered.join(' ') }),
  }
  const name = `"${printable(leaf.subject.toString(), 200)}"`
  if (registered.length === 0)
    return finding('thumbprint-mismatch', `No thumbprint is set for this device, so ${name} does not fit.`, {
      evidence,
      remedy: `Set the primary thumbprint of the device to ${leaf.sha256}, if this certificate is its own.`,
    })
  // Compared is the digest that was registered, so that one is shown.
  const shown = registered.some(({ length }) => length === SHA1_DIGITS)
    ? `SHA-1 ${leaf.sha1}`
    : `SHA-256 ${leaf.sha256}`
  const expected = registered.map((thumbprint) => thumbprint.toLowerCase()).join(' and ')
  return finding(
    'thumbprint-mismatch',
    `The certificate ${name} has the thumbprint ${shown}; registered is ${expected}.`,
    {
      evidence,
    },
  )
}

const SHA1_DIGITS = 40

/** The refusal of a path, as a finding of the hub. */
export function pathFinding(error: TrustError): Finding {
  const { certificate } = error
  const place = certificate && { certificate: certificate.subject, sha256: certificate.sha256 }
  return finding(`chain:${error.rule}`, sentence(error.message), {
    remedy: sentence(error.remedy),
    evidence: { ...place, ...error.evidence },
  })
}

/** What the validator says as a clause. */
export function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1)
  return capital.endsWith('.') ? capital : `${capital}.`
}

/** ISO 8601 in whole seconds. */
export function instant(ms: number): string {
  return Number.isFinite(ms) ? new Date(ms).toISOString().replace('.000Z', 'Z') : 'the end of time'
}
