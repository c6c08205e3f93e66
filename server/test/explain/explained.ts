import assert from 'node:assert/strict'
import type { Refusal } from '../../src/model/refusal.ts'

/** What a refusal must tell a person who was not there. */
export interface Explanation {
  readonly rule: string
  /** The certificate, name or value at fault. */
  readonly message: RegExp | readonly RegExp[]
  /** What to do about it, in this very case. */
  readonly remedy: RegExp
  readonly evidence?: Readonly<Record<string, RegExp>>
}

type Told = Pick<Refusal, 'rule' | 'message' | 'remedy' | 'evidence'>

export function assertExplained({ rule, message, remedy, evidence }: Told, expected: Explanation): void {
  assert.equal(rule, expected.rule, message)
  for (const part of [expected.message].flat()) assert.match(message, part)
  assert.match(message, /^[^a-z].*\.$/s, 'the message is a whole sentence')
  assert.match(remedy, expected.remedy)
  assert.match(remedy, /^[^a-z].*\.$/s, 'the remedy is a whole sentence')
  for (const [name, value] of Object.entries(expected.evidence ?? {})) assert.match(evidence[name] ?? '', value, name)
}
