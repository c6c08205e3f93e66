import type { RefusalRule } from '../../model/refusal.ts'

/** Why a credential does not hold: a verdict, before anything is recorded or thrown. */
export interface Finding {
  readonly kind: 'finding'
  readonly rule: RefusalRule
  /** Whole sentence for the operator: what is wrong with what. */
  readonly message: string
  /** When it can be told better than by the refusal guide. */
  readonly remedy?: string
  readonly evidence?: Readonly<Record<string, string>>
}

export function finding(rule: RefusalRule, message: string, more: Partial<Omit<Finding, 'kind'>> = {}): Finding {
  return { kind: 'finding', rule, message, ...more }
}

export function isFinding(value: object): value is Finding {
  return 'kind' in value && value.kind === 'finding'
}
