import type { Certificate } from './certificate.ts'
import { IssueError } from './issue-error.ts'
import { instant } from './trust-error.ts'

/**
 * For how long a certificate shall be valid, in ms since the epoch. `until` is a demand and is refused when the issuer
 * ends earlier; `lifetime` (ms) is a default and is cut to the issuer's end.
 */
export type Term = { readonly now: number } & ({ readonly until: number } | { readonly lifetime: number })

export interface Validity {
  readonly notBefore: number
  readonly notAfter: number
}

/** Clocks of devices lag: a certificate made now must be valid to a device that lives five minutes in the past. */
const BACKDATE = 5 * 60 * 1000

/** Throws IssueError when the term is empty, or not within the validity of `issuer` (absent for a root). */
export function termOf(term: Term, issuer: Certificate | undefined): Validity {
  if (issuer !== undefined) checkIssuerValid(issuer, term.now)
  const notBefore = wholeSecond(Math.max(term.now - BACKDATE, issuer?.notBefore ?? -Infinity))
  const notAfter = wholeSecond(endOf(term, issuer))
  if (!(notAfter > term.now)) {
    throw new IssueError(
      'invalid-term',
      `The certificate would end at ${instant(notAfter)}, which is not in the future.`,
      'Choose a later end.',
    )
  }
  return { notBefore, notAfter }
}

function endOf(term: Term, issuer: Certificate | undefined): number {
  if ('lifetime' in term) return Math.min(term.now + term.lifetime, issuer?.notAfter ?? Infinity)
  if (issuer !== undefined && term.until > issuer.notAfter) {
    throw new IssueError(
      'outlives-issuer',
      `The certificate would be valid until ${instant(wholeSecond(term.until))}, longer than its issuer ` +
        `"${issuer.subject.toString()}", which ends at ${instant(issuer.notAfter)}.`,
      'Choose an end before that, or renew the issuer first.',
    )
  }
  return term.until
}

function checkIssuerValid(issuer: Certificate, now: number): void {
  if (now >= issuer.notBefore && now <= issuer.notAfter) return
  const name = issuer.subject.toString()
  throw now < issuer.notBefore
    ? new IssueError(
        'issuer-not-valid',
        `The issuer "${name}" is valid only from ${instant(issuer.notBefore)}.`,
        'Check the clock of this machine.',
      )
    : new IssueError(
        'issuer-not-valid',
        `The issuer "${name}" expired at ${instant(issuer.notAfter)}.`,
        'Renew the issuer, or issue from another CA.',
      )
}

function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}
