import type { Revocation } from '../../model/revocation.ts'
import { describeTarget } from '../../model/revocation.ts'
import { instant } from '../findings/certificate-judgement.ts'
import type { Finding } from '../findings/finding.ts'
import { finding } from '../findings/finding.ts'

/** The refusal that an operator's decision amounts to, where there is no certificate at hand to speak of. */
export function revokedDirectly({ target, reason, revokedAt, by, because }: Revocation, subject: string): Finding {
  const rule = target.kind === 'device' ? 'device-revoked' : 'chain:revoked'
  const cause = because === null ? '' : `, because of ${because}`
  const message = `${subject} was revoked at ${instant(revokedAt)} (${reason}) by ${by}${cause}: ${describeTarget(target)}.`
  return finding(rule, message, { evidence: { revokedAt: instant(revokedAt), reason, by } })
}
