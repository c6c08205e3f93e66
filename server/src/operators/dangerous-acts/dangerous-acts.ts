import type { AuditLog } from '../../audit/audit-log.ts'
import type { AuthorityUsage } from '../../hub/authorities/authority-usage.ts'
import type { CertificateAuthorities } from '../../hub/authorities/certificate-authorities.ts'
import type { RevokeParts } from '../../hub/revoke.ts'
import type { Sessions } from '../../hub/sessions/sessions.ts'
import type { KeyOperations } from '../../keys/key-operations.ts'
import type { Enrollments } from '../../provisioning/enrollments.ts'
import type { Operators } from '../operators.ts'
import type { SecondPerson } from '../second-person.ts'
import { AuditActs } from './audit.ts'
import { AuthorityActs } from './authorities.ts'
import { EnrollmentGroupActs } from './enrollment-groups.ts'
import { KeyActs } from './keys.ts'
import { OperatorActs } from './operators.ts'
import { RevocationActs } from './revocations.ts'

export interface DangerousActsParts {
  readonly authorities: CertificateAuthorities
  readonly usage: AuthorityUsage
  readonly sessions: Sessions
  readonly revoking: RevokeParts
  readonly enrollments: Enrollments
  readonly keyOperations: KeyOperations
  readonly operators: Operators
  readonly audit: AuditLog
  readonly secondPerson: SecondPerson
}

/**
 * The verbs of `model/dangerous-act`, each behind the gate of the second person. Heads are given these and, of the same
 * nouns, what is harmless alone, so that no route can go around the gate.
 */
export class DangerousActs {
  readonly authorities: AuthorityActs
  readonly revocations: RevocationActs
  readonly groups: EnrollmentGroupActs
  readonly keys: KeyActs
  readonly operators: OperatorActs
  readonly audit: AuditActs

  constructor(parts: DangerousActsParts) {
    this.authorities = new AuthorityActs(parts)
    this.revocations = new RevocationActs(parts)
    this.groups = new EnrollmentGroupActs(parts)
    this.keys = new KeyActs(parts)
    this.operators = new OperatorActs(parts)
    this.audit = new AuditActs(parts)
  }
}

/** What of those nouns asks nobody. */
export type HarmlessAuthorities = Pick<CertificateAuthorities, 'get' | 'list' | 'generateVerificationCode' | 'verify'>
export type HarmlessEnrollments = Omit<Enrollments, 'putGroup' | 'deleteGroup' | 'bulkGroups'>
export type HarmlessKeyOperations = Pick<KeyOperations, 'facts' | 'rotateDataKey' | 'startReseal'>
export type HarmlessOperators = Pick<Operators, 'list' | 'get' | 'revoke' | 'renewToken' | 'byToken' | 'byCertificate'>
