/**
 * Acts that cut off many at once or weaken what is checked, and what each does. The list is closed: by whatever API one of
 * them is asked for, it is the same act. What concerns one device alone is daily work, and not among them; nor is what takes
 * a log-in away from an operator, which must not wait.
 */
export const DANGEROUS_ACTS = {
  'authority.delete': 'cuts off every device whose certificate rests on the CA',
  'authority.replace': 'cuts off every device whose certificate rests on the CA that goes',
  'authority.vouch': 'trusts a CA whose key nobody has proven',
  'authority.revoke': 'cuts off everything below the CA',
  'authority.lift': 'lets in again everything below the CA',
  'revocation-rule.weaken': 'lets certificates of the CA in that were looked up before',
  'enrollment-group.delete': 'cuts off every device that was provisioned through the group',
  'enrollment-group.disable': 'cuts off every device that was provisioned through the group',
  'enrollment-group.reroot': 'changes by which CAs or keys devices register through the group',
  'enrollment-group.unseal': 'no longer asks devices of the group for sealed messages',
  'keys.rotate-kek': 'opens the data folder by another key alone',
  'keys.erase': 'empties stored events for good',
  'operator.create': 'makes somebody an operator',
  'operator.issue-token': 'lets whoever is told the token in as that operator',
  'operator.add-certificate': 'lets whoever has the key of the certificate in as that operator',
  'audit.prune': 'takes the older part of the audit log off this server',
} as const

export type DangerousActName = keyof typeof DANGEROUS_ACTS
