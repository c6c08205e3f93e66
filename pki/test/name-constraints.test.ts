import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explicit, implicit, oid, sequence, setOf, utf8String } from '../src/der-writer.ts'
import { AnchorSet, AttributeOid, ExtensionOid, isTrustError, PathVerifier } from '../src/index.ts'
import { caExtensions, extension, forge, forgeCa, leafExtensions, name, NOW } from './forge.ts'

/** One constraint on a CA, one name on a leaf below it. RFC 5280 §4.2.1.10, as PKITS and limbo leave it open or untested. */

const dns = (text: string): Uint8Array => implicit(2, Buffer.from(text))
const email = (text: string): Uint8Array => implicit(1, Buffer.from(text))
const uri = (text: string): Uint8Array => implicit(6, Buffer.from(text))
const ip = (...octets: number[]): Uint8Array => implicit(7, Uint8Array.from(octets))
const directory = (der: Uint8Array): Uint8Array => explicit(4, der)

function verdict(
  list: 'permitted' | 'excluded',
  base: Uint8Array,
  san: Uint8Array,
  subject: Uint8Array = sequence(),
): string {
  const constraints = sequence(explicit(list === 'permitted' ? 0 : 1, sequence(base)))
  const extensions = [...caExtensions(), extension(ExtensionOid.nameConstraints, constraints, true)]
  const ca = forgeCa('Constrained', { extensions })
  const names = extension(ExtensionOid.subjectAltName, sequence(san), true)
  const leaf = forge({ subject, issuer: ca, extensions: [...leafExtensions(), names] })
  const result = new PathVerifier({ cacheSize: 2 }).verify({
    leaf: leaf.certificate,
    intermediates: [],
    anchors: new AnchorSet([ca.certificate]),
    now: NOW,
    profile: 'compatible',
    purpose: 'clientAuth',
  })
  return isTrustError(result) ? result.rule : 'accepted'
}

const within: readonly (readonly [base: Uint8Array, name: Uint8Array, isWithin: boolean])[] = [
  [dns('example'), dns('example'), true],
  [dns('example'), dns('a.EXAMPLE'), true],
  [dns('a.example'), dns('example'), false],
  [dns('example'), dns('badexample'), false],
  [dns(''), dns('anything.at.all'), true],
  [dns('example'), dns('*.example'), true],
  [email('example'), email('me@example'), true],
  [email('example'), email('me@a.example'), false],
  [email('.example'), email('me@a.example'), true],
  [email('.example'), email('me@example'), false],
  [email('me@example'), email('me@EXAMPLE'), true],
  [email('me@example'), email('ME@example'), false],
  [uri('example'), uri('amqps://me@EXAMPLE:5671/x?y#z'), true],
  [uri('example'), uri('https://a.example/'), false],
  [uri('.example'), uri('https://a.example/'), true],
  [uri('example'), uri('https://evil/@example'), false],
  [uri('example'), uri('https://example@evil/'), false],
  [ip(10, 0, 0, 0, 255, 0, 0, 0), ip(10, 1, 2, 3), true],
  [ip(10, 0, 0, 0, 255, 0, 0, 0), ip(11, 1, 2, 3), false],
  [ip(0, 0, 0, 0, 0, 0, 0, 0), ip(...Array.from({ length: 16 }, () => 1)), false],
  [directory(name('Fleet')), directory(name('fleet ', 'd')), true],
  [directory(name('Fleet', 'd')), directory(name('Fleet')), false],
]

test('what lies within a subtree is permitted by it and excluded by it; what does not is neither', () => {
  for (const [base, san, isWithin] of within) {
    const what = `${Buffer.from(base).toString('latin1')} / ${Buffer.from(san).toString('latin1')}`
    assert.equal(verdict('permitted', base, san), isWithin ? 'accepted' : 'name-constraints', `permitted ${what}`)
    assert.equal(verdict('excluded', base, san), isWithin ? 'name-constraints' : 'accepted', `excluded ${what}`)
  }
})

test('a wildcard that could stand for an excluded name is refused, and is not within a permitted one', () => {
  assert.equal(verdict('excluded', dns('a.example'), dns('*.example')), 'name-constraints')
  assert.equal(verdict('permitted', dns('a.example'), dns('*.example')), 'name-constraints')
  assert.equal(verdict('excluded', dns('other'), dns('*.example')), 'accepted')
})

test('a name that cannot be judged is refused where its form is constrained, and only there', () => {
  const unjudgeable: readonly (readonly [Uint8Array, Uint8Array])[] = [
    [dns('example'), dns('a..example')],
    [dns('example'), dns('example.')],
    [dns('example'), dns('a\u0000.example')],
    [email('example'), email('"a@b"@example')],
    [uri('example'), uri('urn:uuid:1')],
    [uri('example'), uri('https://10.0.0.1/')],
    [uri('example'), uri('https://[::1]/')],
    [ip(10, 0, 0, 0, 255, 0, 0, 0), ip(10, 0, 0)],
    [implicit(8, Uint8Array.of(0x2a)), implicit(8, Uint8Array.of(0x2b))],
  ]
  for (const [base, san] of unjudgeable) {
    for (const list of ['permitted', 'excluded'] as const) assert.equal(verdict(list, base, san), 'name-constraints')
    assert.equal(verdict('permitted', directory(name('x')), san), 'accepted')
  }
})

test('malformed constraints are refused even if no name meets them', () => {
  for (const base of [
    dns('.example'),
    dns('*.example'),
    email('a@b@c'),
    ip(10, 0, 0, 0),
    ip(10, 0, 0, 0, 255, 0, 255, 0),
  ]) {
    assert.equal(verdict('excluded', base, uri('https://a.example/')), 'name-constraints')
  }
})

test('the subject is a directory name, and e-mail addresses in it are e-mail addresses', () => {
  const san = uri('https://a.example/')
  assert.equal(verdict('permitted', directory(name('Fleet')), san, name('Fleet', 'd')), 'accepted')
  assert.equal(verdict('permitted', directory(name('Fleet')), san, name('d')), 'name-constraints')
  const withEmail = sequence(setOf(sequence(oid(AttributeOid.emailAddress), utf8String('me@evil'))))
  assert.equal(verdict('permitted', email('example'), san, withEmail), 'name-constraints')
  assert.equal(
    verdict('permitted', email('example'), san, sequence(setOf(sequence(oid(AttributeOid.CN), utf8String('d'))))),
    'accepted',
  )
})
