import assert from 'node:assert/strict'
import { test } from 'node:test'
import { implicit, integer, oid, sequence } from '../src/der-writer.ts'
import type { PolicyInputs } from '../src/index.ts'
import { ANY_POLICY, AnchorSet, ExtensionOid, isTrustError, PathVerifier } from '../src/index.ts'
import { caExtensions, extension, forge, forgeCa, leafExtensions, NOW } from './forge.ts'

/** The policy rules in small; PKITS §4.8 to §4.12 holds them to the letter where its vectors are at hand. */

const [GOLD, SILVER, FOREIGN] = ['1.2.3.1', '1.2.3.2', '1.2.3.9']

const policies = (...oids: string[]): Uint8Array =>
  extension(ExtensionOid.certificatePolicies, sequence(...oids.map((policy) => sequence(oid(policy)))))
const mapping = (issuer: string, subject: string): Uint8Array =>
  extension(ExtensionOid.policyMappings, sequence(sequence(oid(issuer), oid(subject))), true)
/** requireExplicitPolicy is [0], inhibitPolicyMapping [1]. */
const constraint = (field: 0 | 1, skip: number): Uint8Array =>
  extension(ExtensionOid.policyConstraints, sequence(implicit(field, Uint8Array.of(skip))), true)
const inhibitAny = extension(ExtensionOid.inhibitAnyPolicy, integer(0), true)

const root = forgeCa('Root')

/** The policies that the path is valid for, or the rule it was refused by. */
function outcome(
  ca: readonly Uint8Array[],
  leaf: readonly Uint8Array[],
  inputs: PolicyInputs = {},
): readonly string[] | string {
  const line = forgeCa('Line', { issuer: root, extensions: [...caExtensions(), ...ca] })
  const device = forge({ subject: 'd', issuer: line, extensions: [...leafExtensions(), ...leaf] })
  const result = new PathVerifier({ cacheSize: 4 }).verify({
    leaf: device.certificate,
    intermediates: [line.certificate],
    anchors: new AnchorSet([root.certificate]),
    now: NOW,
    profile: 'compatible',
    purpose: 'clientAuth',
    policies: inputs,
  })
  return isTrustError(result) ? result.rule : result.policies
}

const REFUSED = 'certificate-policy'

test('a path is valid for the policies that all of its certificates name', () => {
  assert.deepEqual(outcome([policies(GOLD, SILVER)], [policies(GOLD)]), [GOLD])
  assert.deepEqual(outcome([policies(GOLD)], [policies(SILVER)]), [])
  assert.deepEqual(outcome([policies(ANY_POLICY)], [policies(GOLD)]), [GOLD])
  assert.deepEqual(outcome([policies(GOLD)], [policies(ANY_POLICY)]), [GOLD])
  assert.deepEqual(outcome([], []), [])
})

test('without a demand no policy is needed; the hub or a CA may demand one', () => {
  assert.equal(outcome([policies(GOLD)], [policies(SILVER)], { requireExplicit: true }), REFUSED)
  assert.equal(outcome([policies(GOLD), constraint(0, 0)], [policies(SILVER)]), REFUSED)
  assert.equal(outcome([policies(GOLD), constraint(0, 0)], []), REFUSED)
  assert.deepEqual(outcome([policies(GOLD), constraint(0, 0)], [policies(GOLD)]), [GOLD])
  assert.deepEqual(outcome([policies(GOLD), constraint(0, 5)], []), [])
})

const want = (...acceptable: string[]): PolicyInputs => ({ acceptable, requireExplicit: true })

test('only acceptable policies count', () => {
  assert.deepEqual(outcome([policies(GOLD)], [policies(GOLD)], want(GOLD, SILVER)), [GOLD])
  assert.equal(outcome([policies(GOLD)], [policies(GOLD)], want(SILVER)), REFUSED)
  assert.deepEqual(outcome([policies(ANY_POLICY)], [policies(ANY_POLICY)], want(SILVER)), [SILVER])
})

test('a mapping translates, in the terms of the anchor, unless mapping is inhibited', () => {
  const mapped = [policies(GOLD), mapping(GOLD, FOREIGN)]
  assert.deepEqual(outcome(mapped, [policies(FOREIGN)]), [GOLD])
  assert.deepEqual(outcome(mapped, [policies(GOLD)]), [])
  assert.equal(outcome(mapped, [policies(FOREIGN)], { inhibitMapping: true, requireExplicit: true }), REFUSED)
  assert.equal(outcome([policies(GOLD), mapping(ANY_POLICY, FOREIGN)], [policies(FOREIGN)]), REFUSED)
})

test('anyPolicy counts for nothing once it is inhibited', () => {
  const required = { requireExplicit: true }
  assert.equal(outcome([policies(GOLD), inhibitAny], [policies(ANY_POLICY)], required), REFUSED)
  assert.deepEqual(outcome([policies(GOLD), inhibitAny], [policies(GOLD)], required), [GOLD])
  assert.equal(outcome([policies(ANY_POLICY)], [policies(GOLD)], { ...required, inhibitAnyPolicy: true }), REFUSED)
})

test('malformed policies are refused when they are read', () => {
  assert.throws(() => outcome([policies()], []), /certificatePolicies is empty/)
  assert.throws(() => outcome([policies(GOLD, GOLD)], []), /repeats a policy/)
  assert.throws(
    () => outcome([extension(ExtensionOid.policyConstraints, sequence(), true)], []),
    /empty policyConstraints/,
  )
})
