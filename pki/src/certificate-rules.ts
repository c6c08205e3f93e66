import type { Certificate } from './certificate.ts'
import { KeyPurpose } from './oid.ts'
import { keyWeakness } from './signature.ts'
import { strictProfileViolation } from './strict-profile.ts'
import type { Finding } from './trust-error.ts'
import { clip, instant, span } from './trust-error.ts'

/** What a certificate must be by itself, wherever it stands: the checks of RFC 5280 §6.1 that need no neighbour. */

/**
 * `compatible` asks what RFC 5280 §6 asks of a validator, and accepts the v1 and extension-less leaves of SDK tools and old
 * devices. `strict` also asks what §4 asks of an issuer.
 */
export type Profile = 'compatible' | 'strict'

export type Purpose = 'clientAuth' | 'serverAuth' | 'crlSign' | 'any'

export type Role = 'leaf' | 'intermediate' | 'anchor'

export interface Expectation {
  readonly role: Role
  /** ms since the epoch. */
  readonly now: number
  readonly profile: Profile
  readonly purpose: Purpose
}

type Check = (certificate: Certificate, expectation: Expectation) => Finding | undefined

/** In the order in which a person wants to hear of them. */
const CHECKS: readonly Check[] = [
  checkValidity,
  checkDuplicateExtensions,
  checkCriticalExtensions,
  checkNames,
  checkSignatureAlgorithm,
  checkPublicKey,
  checkBasicConstraints,
  checkCaKeyUsage,
  checkLeafKeyUsage,
  checkExtendedKeyUsage,
  (certificate, { role, profile }) => (profile === 'strict' ? strictProfileViolation(certificate, role) : undefined),
]

/** The first thing wrong with the certificate in that role, or undefined. */
export function certificateFinding(certificate: Certificate, expectation: Expectation): Finding | undefined {
  for (const check of CHECKS) {
    const finding = check(certificate, expectation)
    if (finding !== undefined) return finding
  }
  return undefined
}

/** RFC 5280 §6.1.3 (a)(2): both dates are inclusive, in whole seconds. Anchors too: their dates are their owner's will. */
function checkValidity({ notBefore, notAfter }: Certificate, { now }: Expectation): Finding | undefined {
  const second = Math.floor(now / 1000) * 1000
  if (second >= notBefore && second <= notAfter) return undefined
  const evidence = { now: instant(second), notBefore: instant(notBefore), notAfter: instant(notAfter) }
  if (second > notAfter) {
    const problem = `expired at ${evidence.notAfter}; it is ${evidence.now} now (${span(second - notAfter)} too late)`
    return { rule: 'expired', problem, remedy: 'issue a new certificate with a later end date', evidence }
  }
  const early = span(notBefore - second)
  const problem = `is not valid before ${evidence.notBefore}; it is ${evidence.now} now (${early} too early)`
  const remedy = 'compare the clock of the machine that issued it with this one, or wait until it becomes valid'
  return { rule: 'not-yet-valid', problem, remedy, evidence }
}

/** RFC 5280 §4.2: an extension occurs at most once. Two readers could each believe another one. */
function checkDuplicateExtensions({ extensions }: Certificate): Finding | undefined {
  const [oid] = extensions.duplicates
  if (oid === undefined) return undefined
  const problem = `contains extension ${oid} more than once`
  return { rule: 'duplicate-extension', problem, remedy: 'issue it again with each extension once', evidence: { oid } }
}

/** RFC 5280 §6.1.4 (o), §6.1.5 (f), on every certificate. */
function checkCriticalExtensions({ extensions }: Certificate): Finding | undefined {
  const [oid] = extensions.unknownCritical
  if (oid === undefined) return undefined
  const problem = `has the critical extension ${oid}, whose rules are not enforced here`
  const remedy = 'issue it again without this extension, or with the extension not marked critical'
  return { rule: 'unknown-critical-extension', problem, remedy, evidence: { oid } }
}

/** RFC 5280 §4.1.2.4 and §4.1.2.6: without names, certificates cannot be chained. */
function checkNames({ issuer, subject }: Certificate, { role }: Expectation): Finding | undefined {
  const remedy = 'issue it again with a distinguished name'
  if (issuer.isEmpty) return { rule: 'malformed-certificate', problem: 'has an empty issuer name', remedy }
  if (role === 'leaf' || !subject.isEmpty) return undefined
  return { rule: 'malformed-certificate', problem: 'is a CA with an empty subject name', remedy }
}

/** RFC 5280 §4.1.1.2, and the list of algorithms. An anchor's own signature proves nothing and is not looked at. */
function checkSignatureAlgorithm(certificate: Certificate, { role }: Expectation): Finding | undefined {
  if (role === 'anchor') return undefined
  const { signatureAlgorithm, signatureAlgorithmsAgree } = certificate
  if (!signatureAlgorithmsAgree) {
    const problem = 'names one signature algorithm inside of its signed part and another one outside'
    return { rule: 'algorithm-mismatch', problem, remedy: 'issue it again; the file may have been tampered with' }
  }
  if (signatureAlgorithm.kind === 'supported') return undefined
  const evidence = { algorithm: signatureAlgorithm.name }
  const remedy = 'have it issued with SHA-256 or better by an RSA, ECDSA, Ed25519 or ML-DSA key'
  return signatureAlgorithm.kind === 'broken'
    ? {
        rule: 'weak-signature',
        problem: `is signed with ${signatureAlgorithm.name}, which is broken`,
        remedy,
        evidence,
      }
    : { rule: 'unsupported-algorithm', problem: `is signed with ${signatureAlgorithm.name}`, remedy, evidence }
}

function checkPublicKey({ publicKeyAlgorithm }: Certificate): Finding | undefined {
  const weakness = keyWeakness(publicKeyAlgorithm)
  if (weakness === undefined) return undefined
  const remedy = 'use RSA with 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, Ed25519, Ed448 or ML-DSA'
  return { rule: weakness.weak ? 'weak-key' : 'unsupported-algorithm', problem: weakness.reason, remedy }
}

/** RFC 5280 §6.1.4 (k). A v1 certificate cannot say it is a CA; its owner said so by registering it as an anchor. */
function checkBasicConstraints(certificate: Certificate, { role, profile }: Expectation): Finding | undefined {
  if (role === 'leaf' || certificate.isCa) return undefined
  if (role === 'anchor' && certificate.version === 1 && profile === 'compatible') return undefined
  const problem = 'was used to issue another certificate but is not a CA (basicConstraints cA is not TRUE)'
  const remedy = 'issue the device certificate from a CA certificate, not from another device certificate'
  return { rule: 'not-a-ca', problem, remedy }
}

/** RFC 5280 §6.1.4 (n). */
function checkCaKeyUsage(certificate: Certificate, { role }: Expectation): Finding | undefined {
  if (role === 'leaf' || certificate.allowsKeyUsage('keyCertSign') !== false) return undefined
  const problem = 'is a CA whose keyUsage does not allow it to sign certificates (keyCertSign)'
  return { rule: 'key-usage', problem, remedy: 'issue the CA certificate again with keyUsage keyCertSign' }
}

/** RFC 5280 §4.2.1.12: a TLS client signs or agrees on keys. RFC 5280 §6.3.3 (f) for the signer of a CRL. */
function checkLeafKeyUsage(certificate: Certificate, { role, purpose }: Expectation): Finding | undefined {
  if (role !== 'leaf') return undefined
  const allows = (usage: Parameters<Certificate['allowsKeyUsage']>[0]): boolean =>
    certificate.allowsKeyUsage(usage) !== false
  if (purpose === 'clientAuth' && !allows('digitalSignature') && !allows('keyAgreement')) {
    const problem = 'has a keyUsage that does not allow a TLS client to sign (digitalSignature)'
    return { rule: 'key-usage', problem, remedy: 'issue it again with keyUsage digitalSignature' }
  }
  if (purpose === 'crlSign' && !allows('cRLSign')) {
    const problem = 'has a keyUsage that does not allow it to sign CRLs (cRLSign)'
    return { rule: 'key-usage', problem, remedy: 'issue it again with keyUsage cRLSign' }
  }
  return undefined
}

/**
 * RFC 5280 §4.2.1.12. Absent: no restriction, as SDK tools issue leaves. On a CA the list limits what it may issue for, which
 * RFC 5280 leaves open and every implementation does. Empty: no purpose at all.
 */
function checkExtendedKeyUsage({ extensions }: Certificate, { purpose }: Expectation): Finding | undefined {
  const { extKeyUsage } = extensions
  if (extKeyUsage === undefined) return undefined
  if (extKeyUsage.length === 0) {
    const problem = 'has an extendedKeyUsage that is empty, which allows no purpose'
    return { rule: 'extended-key-usage', problem, remedy: 'issue it again with extendedKeyUsage clientAuth' }
  }
  if (purpose === 'any' || purpose === 'crlSign') return undefined
  if (extKeyUsage.includes(KeyPurpose[purpose]) || extKeyUsage.includes(KeyPurpose.any)) return undefined
  const problem = `has an extendedKeyUsage that does not allow ${purpose}`
  const evidence = { required: KeyPurpose[purpose], present: clip(extKeyUsage.join(' ')) }
  return { rule: 'extended-key-usage', problem, remedy: `issue it again with extendedKeyUsage ${purpose}`, evidence }
}
