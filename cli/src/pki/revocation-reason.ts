import type { RevocationReason } from '@holdfast/pki'
import { Option } from 'commander'

/** RFC 5280 §5.3.1. */
const REASONS = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'privilegeWithdrawn',
  'aACompromise',
] as const satisfies readonly RevocationReason[]

export function reasonOption(): Option {
  return new Option('--reason <reason>', 'why').choices(REASONS).default('unspecified')
}
