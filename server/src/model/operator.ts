/** What an operator may be allowed to do; each route of the operator's APIs names one. */
export const OPERATOR_RIGHTS = [
  'server.read',
  'authorities.read',
  'authorities.write',
  'devices.read',
  'devices.write',
  'devices.secrets',
  'enrollments.read',
  'enrollments.write',
  'enrollments.secrets',
  'policies.read',
  'policies.secrets',
  'policies.rotate',
  'revocations.read',
  'revocations.write',
  'quarantine.release',
  'refusals.read',
  'alarms.read',
  'webhooks.read',
  'webhooks.write',
  'consumer-groups.write',
  'keys.read',
  'keys.rotate',
  'backups.take',
  'audit.read',
  'audit.sign',
  'audit.prune',
  'operators.read',
  'operators.write',
  'own-token.renew',
  'approvals.read',
  'approvals.decide',
] as const
export type OperatorRight = (typeof OPERATOR_RIGHTS)[number]

export const ROLES = ['owner', 'security-officer', 'operator', 'reader'] as const
export type Role = (typeof ROLES)[number]

const READER = [
  'server.read',
  'authorities.read',
  'devices.read',
  'enrollments.read',
  'policies.read',
  'revocations.read',
  'refusals.read',
  'alarms.read',
  'webhooks.read',
  'own-token.renew',
] as const satisfies readonly OperatorRight[]

/** The one table of who may do what. Keys of devices and services are for those who run them; trust is for the officer. */
const RIGHTS_OF = {
  owner: new Set(OPERATOR_RIGHTS),
  'security-officer': new Set([
    ...READER,
    'authorities.write',
    'revocations.write',
    'quarantine.release',
    'policies.rotate',
    'keys.read',
    'keys.rotate',
    'backups.take',
    'audit.read',
    'audit.sign',
    'operators.read',
    'approvals.read',
    'approvals.decide',
  ]),
  operator: new Set([
    ...READER,
    'devices.write',
    'devices.secrets',
    'enrollments.write',
    'enrollments.secrets',
    'policies.secrets',
    'quarantine.release',
    'webhooks.write',
    'consumer-groups.write',
    'approvals.read',
  ]),
  reader: new Set(READER),
} as const satisfies Record<Role, ReadonlySet<OperatorRight>>

export function roleMay(role: Role, right: OperatorRight): boolean {
  const rights: ReadonlySet<OperatorRight> = RIGHTS_OF[role]
  return rights.has(right)
}

/** How an operator logs in; none of it is a secret. */
export type OperatorCredential = {
  /** 12 hex digits. */
  readonly id: string
  readonly created: number
  /** ms, or null for one that lasts until it is revoked. */
  readonly expires: number | null
  /** Who made it, and was told it if it is a token; absent in what was written before that was noted. */
  readonly madeBy?: string
} & (
  | { readonly kind: 'token'; /** SHA-256 of the whole token, hex. */ readonly sha256: string }
  | { readonly kind: 'certificate'; /** SHA-256 of the DER, hex. */ readonly sha256: string; readonly subject: string }
)

export interface Operator {
  readonly name: string
  readonly role: Role
  readonly created: number
  readonly madeBy?: string
  readonly credentials: readonly OperatorCredential[]
}

/** Whoever holds the token of the first start. */
export const OWNER_NAME = 'owner'
export const OPERATOR_NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/
