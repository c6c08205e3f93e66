import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { TestContext } from 'node:test'
import type { Profile } from '../../src/index.ts'

/** Foreign conformance suites are read in place; where they are absent a test says so and skips. */
const REPOSITORY = resolve(import.meta.dirname, '../../..')
export const vectors = resolve(REPOSITORY, process.env['HOLDFAST_VECTORS'] ?? '../shared/vectors')

export function missing(file: string): string | false {
  return existsSync(resolve(vectors, file))
    ? false
    : `no ${file} in ${vectors}; set HOLDFAST_VECTORS to the test vectors`
}

export function readVector(file: string): Buffer {
  return readFileSync(resolve(vectors, file))
}

/** What became of one case. `verdict`: accepted, or the rule (and words) of the refusal. */
export interface Outcome {
  readonly id: string
  readonly shouldAccept: boolean
  readonly accepted: boolean
  readonly verdict: string
}

interface Exception {
  readonly reason: string
  readonly cases: readonly string[]
}

type Suite = 'pkits' | 'limbo'
type Exceptions = Record<Suite, Record<Profile, { falseRejects: Exception[]; falseAccepts: Exception[] }>>

/**
 * Fails on a case that goes wrong without a written reason, and on a written reason whose case goes right: both mean that
 * the list no longer tells the truth.
 */
export function judgeSuite(t: TestContext, suite: Suite, profile: Profile, outcomes: readonly Outcome[]): void {
  const file = resolve(import.meta.dirname, 'exceptions.json')
  const { falseRejects, falseAccepts } = (JSON.parse(readFileSync(file, 'utf8')) as Exceptions)[suite][profile]
  const wrong = outcomes.filter((o) => o.accepted !== o.shouldAccept)
  const [accepted, rejected] = [wrong.filter((o) => o.accepted), wrong.filter((o) => !o.accepted)]
  t.diagnostic(
    `${suite}, ${profile}: ${outcomes.length - wrong.length} of ${outcomes.length} as expected, ` +
      `${accepted.length} accepted and ${rejected.length} refused against the suite, for written reasons`,
  )
  compare('accepted although the suite refuses', accepted, falseAccepts)
  compare('refused although the suite accepts', rejected, falseRejects)
}

function compare(what: string, wrong: readonly Outcome[], exceptions: readonly Exception[]): void {
  const excused = exceptions.flatMap((e) => e.cases)
  assert.equal(new Set(excused).size, excused.length, 'a case is listed twice in exceptions.json')
  const unexpected = wrong.filter((o) => !excused.includes(o.id)).map((o) => `${o.id}: ${o.verdict}`)
  assert.deepEqual(unexpected, [], `${what}, without a reason in exceptions.json`)
  const stale = excused.filter((id) => !wrong.some((o) => o.id === id))
  assert.deepEqual(stale, [], 'listed in exceptions.json, but goes right or does not exist')
}
