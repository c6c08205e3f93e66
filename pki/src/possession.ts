import { timingSafeEqual } from 'node:crypto'
import type { Certificate } from './certificate.ts'
import { keyWeakness, SignatureVerifier } from './signature.ts'
import { displayName, instant } from './trust-error.ts'

/** A code that was handed out for one CA certificate. Single use is the caller's to enforce: it takes the code away. */
export interface PossessionCode {
  readonly value: string
  /** ms since the epoch. */
  readonly expiresAt: number
}

declare const proof: unique symbol

/** Says that whoever sent the verification certificate holds the CA's private key. Made by `provePossession` alone. */
export interface ProofOfPossession {
  readonly kind: 'proof-of-possession'
  readonly authority: Certificate
  readonly provenAt: number
  readonly [proof]: true
}

export type PossessionRule =
  | 'code-expired'
  | 'authority-not-a-ca'
  | 'authority-expired'
  | 'authority-weak'
  | 'wrong-issuer'
  | 'same-name-other-key'
  | 'malformed'
  | 'wrong-code'
  | 'not-yet-valid'
  | 'expired-certificate'

/** A refusal, as a value: what is wrong with the proof, and what a person can do about it. */
export interface PossessionError {
  readonly kind: 'possession-error'
  readonly rule: PossessionRule
  readonly message: string
  readonly remedy: string
}

export interface PossessionClaim {
  /** The CA certificate whose key is to be proven. */
  readonly authority: Certificate
  readonly code: PossessionCode
  /** What was sent as proof. */
  readonly verification: Certificate
}

type Check = (claim: PossessionClaim, now: number) => PossessionError | undefined

/** The first that objects decides. What was sent is judged by its signature before anything it says is believed. */
const CHECKS: readonly Check[] = [
  codeAlive,
  authorityIsCa,
  authorityValid,
  authorityStrong,
  namedIssuer,
  signedByAuthority,
  wellFormed,
  codeMatches,
  verificationValid,
]

/** Does this verification certificate prove, now (ms since the epoch), that its sender holds the CA's private key? */
export function provePossession(claim: PossessionClaim, now: number): ProofOfPossession | PossessionError {
  for (const check of CHECKS) {
    const error = check(claim, now)
    if (error !== undefined) return error
  }
  // The brand exists for the type checker alone; this is the one place that may set it.
  return { kind: 'proof-of-possession', authority: claim.authority, provenAt: now } as ProofOfPossession
}

function codeAlive({ code }: PossessionClaim, now: number): PossessionError | undefined {
  if (now < code.expiresAt) return undefined
  return refuse(
    'code-expired',
    `The verification code expired at ${instant(code.expiresAt)}.`,
    'Generate a new code and make a verification certificate for it.',
  )
}

function authorityIsCa({ authority }: PossessionClaim): PossessionError | undefined {
  if (authority.isCa && authority.allowsKeyUsage('keyCertSign') !== false) return undefined
  return refuse(
    'authority-not-a-ca',
    `The registered certificate ${displayName(authority)} is not one of a CA.`,
    'Register the certificate of the CA that issues the devices.',
  )
}

function authorityValid({ authority }: PossessionClaim, now: number): PossessionError | undefined {
  if (now >= authority.notBefore && now <= authority.notAfter) return undefined
  return refuse(
    'authority-expired',
    `The registered CA ${displayName(authority)} is valid from ${instant(authority.notBefore)} to ` +
      `${instant(authority.notAfter)} and it is ${instant(now)}.`,
    'Renew the CA certificate and register the new one.',
  )
}

function authorityStrong({ authority }: PossessionClaim): PossessionError | undefined {
  const weakness = keyWeakness(authority.publicKeyAlgorithm)
  if (weakness === undefined) return undefined
  return refuse(
    'authority-weak',
    `The registered CA ${displayName(authority)} ${weakness.reason}, so a signature by it proves nothing.`,
    'Make a CA with a P-256 key or a stronger one.',
  )
}

function namedIssuer({ authority, verification }: PossessionClaim): PossessionError | undefined {
  if (verification.issuer.key === authority.subject.key) return undefined
  return refuse(
    'wrong-issuer',
    `The verification certificate was issued by "${verification.issuer.toString()}", not by the registered CA ` +
      `${displayName(authority)}.`,
    'Sign the verification certificate with the key of the registered CA itself, not with that of a CA above or below it.',
  )
}

function signedByAuthority({ authority, verification }: PossessionClaim): PossessionError | undefined {
  if (verification.signatureAlgorithmsAgree && new SignatureVerifier(1).verify(verification, authority)) {
    return undefined
  }
  if (verification.signatureAlgorithm.kind !== 'supported') {
    return refuse(
      'malformed',
      `The verification certificate is signed by ${verification.signatureAlgorithm.name}, which is not accepted.`,
      'Sign it with SHA-256 or better.',
    )
  }
  return refuse(
    'same-name-other-key',
    `The verification certificate names the registered CA ${displayName(authority)} as its issuer, but was signed by ` +
      'another key.',
    'Use the private key that belongs to the registered certificate: another CA may have the same name.',
  )
}

function wellFormed({ verification }: PossessionClaim): PossessionError | undefined {
  const { duplicates, unknownCritical } = verification.extensions
  const commonNames = verification.subject.commonNames.length
  if (verification.isCa) return malformed('is one of a CA')
  if (duplicates.length > 0) return malformed(`repeats the extension ${duplicates.join(', ')}`)
  if (unknownCritical.length > 0) return malformed(`has the unknown critical extension ${unknownCritical.join(', ')}`)
  if (commonNames !== 1) return malformed(`has ${commonNames} common names instead of one`)
  return undefined
}

function malformed(problem: string): PossessionError {
  return refuse(
    'malformed',
    `The verification certificate ${problem}.`,
    'Make it with `holdfast pki verification-cert CODE`.',
  )
}

function codeMatches({ code, verification }: PossessionClaim): PossessionError | undefined {
  const [commonName = ''] = verification.subject.commonNames
  const expected = Buffer.from(code.value, 'utf8')
  const given = Buffer.from(commonName, 'utf8')
  if (given.length === expected.length && timingSafeEqual(given, expected)) return undefined
  return refuse(
    'wrong-code',
    'The common name of the verification certificate is not the verification code.',
    'Make a verification certificate whose common name is exactly the code that was generated last.',
  )
}

function verificationValid({ verification }: PossessionClaim, now: number): PossessionError | undefined {
  if (now < verification.notBefore) {
    return refuse(
      'not-yet-valid',
      `The verification certificate is valid only from ${instant(verification.notBefore)} and it is ${instant(now)}.`,
      'Check the clock of the machine that made it.',
    )
  }
  if (now <= verification.notAfter) return undefined
  return refuse(
    'expired-certificate',
    `The verification certificate expired at ${instant(verification.notAfter)}.`,
    'Make a new one.',
  )
}

function refuse(rule: PossessionRule, message: string, remedy: string): PossessionError {
  return { kind: 'possession-error', rule, message, remedy }
}
