import { span } from '@holdfast/pki'
import type { Finding } from '../findings/finding.ts'
import { finding } from '../findings/finding.ts'
import type { SasKeyRule, SasResource, SasToken } from './sas-token.ts'
import { parseSasToken, SasTokenError, signingKeyOf } from './sas-token.ts'
import { printable } from '../../model/ids.ts'
import { instant } from '../findings/certificate-judgement.ts'

/** A token whose form and expiry hold; its signature has yet to be judged. */
export interface ReadToken {
  readonly kind: 'token'
  readonly token: SasToken
}

export function readToken(text: string, now: number): ReadToken | Finding {
  let token: SasToken
  try {
    token = parseSasToken(text)
  } catch (error) {
    if (!(error instanceof SasTokenError)) throw error
    return finding('token-malformed', error.message)
  }
  if (now >= token.expiresAt)
    return finding(
      'token-expired',
      `The token expired at ${instant(token.expiresAt)}; it is ${instant(now)} now (${span(now - token.expiresAt)} too late).`,
    )
  return { kind: 'token', token }
}

export interface GenuineToken {
  readonly kind: 'genuine'
  /** The one of the keys that signed it. */
  readonly key: string
}

/** Was the token signed with one of the keys, by one of the rules, for this resource? With which one? */
export function judgeToken(
  token: SasToken,
  expected: {
    readonly keys: readonly string[]
    readonly rules: readonly SasKeyRule[]
    readonly covers: (resource: SasResource) => boolean
    /** Whose key and which resource, for messages. */
    readonly signer: string
    readonly wanted: string
  },
): GenuineToken | Finding {
  // By each rule, whichever it was, so that the time tells nothing.
  const key = expected.rules.map((rule) => signingKeyOf(token, expected.keys, rule)).find((each) => each !== null)
  if (typeof key !== 'string')
    return finding('token-signature-wrong', `The token was signed with neither key of ${printable(expected.signer)}.`)
  if (expected.covers(token.resource)) return { kind: 'genuine', key }
  return finding(
    'token-resource-mismatch',
    `The token is for '${printable(token.resource.text, 200)}' and was used at '${printable(expected.wanted, 200)}'.`,
  )
}

/** 32 zero bytes. Nobody's key. */
const DECOY_KEYS = ['AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']

/** Spends the time that judging a known identity's token takes, so that the answer's delay does not tell who exists. */
export function judgeForNobody(text: string | null, now: number): void {
  const read = text === null ? null : readToken(text, now)
  if (read?.kind === 'token') signingKeyOf(read.token, DECOY_KEYS, 'iot')
}
