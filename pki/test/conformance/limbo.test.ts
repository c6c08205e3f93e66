import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Profile, Purpose, RevocationFacts } from '../../src/index.ts'
import {
  AnchorSet,
  checkRevocation,
  isTrustError,
  ParseError,
  parseCertificates,
  parseCrls,
  PathVerifier,
} from '../../src/index.ts'
import type { Outcome } from './suite.ts'
import { judgeSuite, missing, readVector } from './suite.ts'

/** C2SP x509-limbo: the cases that do not hang on a server's name. */
const skip = missing('limbo/limbo.json')

interface Case {
  readonly id: string
  readonly trusted_certs: readonly string[]
  readonly untrusted_intermediates: readonly string[]
  readonly peer_certificate: string
  readonly crls: readonly string[]
  readonly validation_time: string | null
  readonly max_chain_depth: number | null
  readonly extended_key_usage: readonly Purpose[]
  readonly expected_result: 'SUCCESS' | 'FAILURE'
}

/** Cases without a time hold at any time; this one lies within all of their certificates' validity. */
const ANY_TIME = '2026-01-01T00:00:00Z'

function judge(vector: Case, profile: Profile): string {
  try {
    return verify(vector, profile)
  } catch (error) {
    if (error instanceof ParseError) return `unreadable: ${error.message}`
    throw error
  }
}

function verify(vector: Case, profile: Profile): string {
  const [leaf] = parseCertificates(vector.peer_certificate)
  assert.ok(leaf)
  const crls = vector.crls.flatMap((pem) => parseCrls(pem))
  const now = Date.parse(vector.validation_time ?? ANY_TIME)
  const facts: RevocationFacts = {
    find: () => undefined,
    crlsBy: (issuer) => crls.filter((crl) => crl.issuer.key === issuer.key),
    policyOf: () => (crls.length > 0 ? 'require' : 'off'),
  }
  const verifier = new PathVerifier({ cacheSize: 16 })
  const result = verifier.verify({
    leaf,
    intermediates: vector.untrusted_intermediates.flatMap((pem) => parseCertificates(pem)),
    anchors: new AnchorSet(vector.trusted_certs.flatMap((pem) => parseCertificates(pem))),
    now,
    profile,
    purpose: vector.extended_key_usage[0] ?? 'any',
    ...(vector.max_chain_depth !== null && { maxIntermediates: vector.max_chain_depth }),
    checkRevocation: (path) => checkRevocation({ path, facts, now, verifier }),
  })
  return isTrustError(result) ? `${result.rule}: ${result.message}` : 'accepted'
}

for (const profile of ['strict', 'compatible'] as const) {
  test(`limbo, ${profile} profile`, { skip }, (t) => {
    const { testcases } = JSON.parse(readVector('limbo/limbo.json').toString()) as { testcases: Case[] }
    const outcomes: Outcome[] = testcases.map((vector) => {
      const verdict = judge(vector, profile)
      const shouldAccept = vector.expected_result === 'SUCCESS'
      return { id: vector.id, shouldAccept, accepted: verdict === 'accepted', verdict }
    })
    assert.equal(outcomes.length, 121)
    judgeSuite(t, 'limbo', profile, outcomes)
  })
}
