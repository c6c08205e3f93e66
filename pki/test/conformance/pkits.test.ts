import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Profile, RevocationFacts, TrustRule } from '../../src/index.ts'
import {
  AnchorSet,
  checkRevocation,
  isTrustError,
  ParseError,
  parseCertificate,
  parseCrl,
  PathVerifier,
} from '../../src/index.ts'
import type { Outcome } from './suite.ts'
import { judgeSuite, missing, readVector } from './suite.ts'

/** NIST PKITS 1.0.1: RFC 5280 path validation with CRLs. */
const skip = missing('pkits/expectations.json')

interface Case {
  readonly id: string
  readonly number: string
  readonly certs: readonly string[]
  readonly crls: readonly string[]
  readonly initialPolicySet: readonly string[]
  readonly initialExplicitPolicy: boolean
  readonly initialPolicyMappingInhibit: boolean
  readonly initialInhibitAnyPolicy: boolean
  readonly shouldValidate: boolean
  readonly userConstrainedPolicySet: readonly string[]
}

type Verdict =
  | { readonly accepted: true; readonly policies: readonly string[] }
  | { readonly accepted: false; readonly rule: TrustRule | 'unreadable'; readonly words: string }

function loadCases(): { cases: Case[]; now: number } {
  const { cases, validationTime } = JSON.parse(readVector('pkits/expectations.json').toString()) as {
    cases: Case[]
    validationTime: string
  }
  return { cases, now: Date.parse(validationTime) }
}

function judge(vector: Case, now: number, profile: Profile): Verdict {
  try {
    return verify(vector, now, profile)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    return { accepted: false, rule: 'unreadable', words: error.message }
  }
}

function verify(vector: Case, now: number, profile: Profile): Verdict {
  const certificates = vector.certs.map((file) => parseCertificate(readVector(`pkits/${file}`)))
  const crls = vector.crls.map((file) => parseCrl(readVector(`pkits/${file}`)))
  const [anchor, ...rest] = certificates
  const leaf = rest.pop()
  assert.ok(anchor && leaf)
  const facts: RevocationFacts = {
    find: () => undefined,
    crlsBy: (issuer) => crls.filter((crl) => crl.issuer.key === issuer.key),
    policyOf: () => 'require',
  }
  const verifier = new PathVerifier({ cacheSize: 16 })
  const result = verifier.verify({
    leaf,
    intermediates: rest,
    anchors: new AnchorSet([anchor]),
    now,
    profile,
    purpose: 'any',
    policies: {
      acceptable: vector.initialPolicySet,
      requireExplicit: vector.initialExplicitPolicy,
      inhibitMapping: vector.initialPolicyMappingInhibit,
      inhibitAnyPolicy: vector.initialInhibitAnyPolicy,
    },
    checkRevocation: (path) => checkRevocation({ path, facts, now, verifier, signers: rest }),
  })
  if (isTrustError(result)) return { accepted: false, rule: result.rule, words: result.message }
  return { accepted: true, policies: result.policies }
}

for (const profile of ['compatible', 'strict'] as const) {
  test(`PKITS, ${profile} profile`, { skip }, (t) => {
    const { cases, now } = loadCases()
    const outcomes: Outcome[] = cases.map((vector) => {
      const verdict = judge(vector, now, profile)
      const words = verdict.accepted ? 'accepted' : `${verdict.rule}: ${verdict.words}`
      return { id: vector.id, shouldAccept: vector.shouldValidate, accepted: verdict.accepted, verdict: words }
    })
    assert.equal(outcomes.length, 249)
    judgeSuite(t, 'pkits', profile, outcomes)
  })
}

test('PKITS: accepted paths are valid for exactly the policies that the suite expects', { skip }, () => {
  const { cases, now } = loadCases()
  for (const vector of cases) {
    const verdict = judge(vector, now, 'compatible')
    if (!verdict.accepted) continue
    assert.deepEqual(verdict.policies.toSorted(), vector.userConstrainedPolicySet.toSorted(), vector.id)
  }
})

/** A refusal for the wrong reason is an acceptance in waiting, so each section must fail by the rules it is about. */
const RULES_OF_SECTION: Record<string, readonly (TrustRule | 'unreadable')[]> = {
  '4.1': ['signature-invalid', 'unreadable'],
  '4.2': ['expired', 'not-yet-valid'],
  '4.3': ['issuer-not-found'],
  '4.4': ['revoked', 'revocation-unknown', 'unreadable'],
  '4.5': ['revoked', 'not-a-ca'],
  '4.6': ['not-a-ca', 'path-length-exceeded'],
  '4.7': ['key-usage', 'revocation-unknown'],
  '4.8': ['certificate-policy'],
  '4.9': ['certificate-policy'],
  '4.10': ['certificate-policy'],
  '4.11': ['certificate-policy'],
  '4.12': ['certificate-policy'],
  '4.13': ['name-constraints'],
  '4.14': ['revoked', 'revocation-unknown'],
  '4.15': ['revoked', 'revocation-unknown'],
  '4.16': ['unknown-critical-extension'],
}

test('PKITS: what must fail fails by the rule that its section is about', { skip }, () => {
  const { cases, now } = loadCases()
  for (const vector of cases.filter((c) => !c.shouldValidate)) {
    const verdict = judge(vector, now, 'compatible')
    assert.ok(!verdict.accepted)
    const rules = RULES_OF_SECTION[vector.number.split('.').slice(0, 2).join('.')]
    assert.ok(rules?.includes(verdict.rule), `${vector.id} was refused by ${verdict.rule}: ${verdict.words}`)
  }
})
