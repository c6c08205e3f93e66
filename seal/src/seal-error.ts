import type { TrustError } from '@holdfast/pki'

/** Why a sealed message was refused: a closed list, in the order in which the checks are made. */
const RULES = [
  'not-sealed',
  'malformed',
  'unsupported-algorithm',
  'certificate-missing',
  'certificate-mismatch',
  'wrong-device',
  'replayed',
  'time-missing',
  'time-in-future',
  'untrusted',
  'signature-wrong',
  'not-encrypted',
  'wrong-recipient',
  'decryption-failed',
] as const

export type SealRule = (typeof RULES)[number]

/** Every rule, for documentation and for tables that must be total. */
export const sealRules: readonly SealRule[] = RULES

/** A refusal, as a value: what is wrong and what a person can do about it. */
export interface SealError {
  readonly kind: 'seal-error'
  readonly rule: SealRule
  readonly message: string
  readonly remedy: string
  /** For `untrusted`: which rule of the certificate path failed, on which certificate. */
  readonly trust?: TrustError
}

const REMEDIES: Record<SealRule, string> = {
  'not-sealed': 'Seal the payload: it must be a COSE_Sign1 with its tag, as the format page says.',
  malformed: 'Compare the message with the test vectors of the format page, byte by byte.',
  'unsupported-algorithm':
    'Sign with ES256 (P-256), ES384 (P-384), EdDSA (Ed25519) or ML-DSA-65, whichever fits the key of the certificate.',
  'certificate-missing': 'Send the certificate chain in x5chain, or give the verifier the chain of the device.',
  'certificate-mismatch': 'Send in x5t the SHA-256 of the certificate whose key signs, and in x5chain that one first.',
  'wrong-device': 'Seal with the id and the certificate of the device that sends; the common name must be that id.',
  replayed: 'Let the device keep its counter over restarts, and raise it with each message.',
  'time-missing': 'Let the device put the time into its messages, or verify as of a time that you vouch for.',
  'time-in-future': "Correct the device's clock.",
  untrusted: 'See which certificate breaks which rule; `holdfast pki inspect` shows the certificate.',
  'signature-wrong': 'The message was changed on the way, or signed with another key than that of the certificate.',
  'not-encrypted': 'The payload is in the clear: `holdfast verify` shows it.',
  'wrong-recipient': 'Open it with the private key whose public half the device was given.',
  'decryption-failed': 'The message was not made by the device that signed it, or was made for another key.',
}

export function sealError(rule: SealRule, message: string, trust?: TrustError): SealError {
  const remedy = trust?.remedy ?? REMEDIES[rule]
  return { kind: 'seal-error', rule, message, remedy, ...(trust && { trust }) }
}

export function isSealError(value: object): value is SealError {
  return 'kind' in value && value.kind === 'seal-error'
}
