import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { explicit, implicit, integer, nullValue, oid, sequence, bitString } from '../src/der-writer.ts'
import type { PathRequest, TrustError } from '../src/index.ts'
import {
  AnchorSet,
  ExtensionOid,
  generateKey,
  isTrustError,
  ParseError,
  parseCertificate,
  PathVerifier,
  VerifiedPath,
} from '../src/index.ts'
import type { Entity } from './forge.ts'
import { basicConstraints, caExtensions, extension, forge, forgeCa, leafExtensions, NOW } from './forge.ts'

/** Chains that are made to cost their judge more than their maker. All are refused, within the budget and within a time. */

/**
 * Of processor time, which a busy machine does not lengthen. Far above what any of them takes (a few ms), far below what the
 * libraries take that these chains bring to their knees.
 */
const TIME_LIMIT_MS = 2_000
const CHAINS = process.env['HOLDFAST_FUZZ_SECONDS'] === undefined ? 2_000 : 100_000
/** Of processor time for one of the many: twenty times what it takes. */
const MEAN_LIMIT_US = 10_000
/** Of the heap, from a tenth of the chains to all of them. */
const GROWTH_LIMIT = 8 * 1024 * 1024

setFlagsFromString('--expose-gc')
// A context that is made after the flag was set has the function.
const collectGarbage = runInNewContext('gc') as () => void

function judge(
  leaf: Entity,
  sent: readonly Entity[],
  anchors: readonly Entity[],
  given: Partial<PathRequest> = {},
  verifier = new PathVerifier({ cacheSize: 100 }),
): VerifiedPath | TrustError {
  const start = process.threadCpuUsage()
  const result = verifier.verify({
    leaf: leaf.certificate,
    intermediates: sent.map((entity) => entity.certificate),
    anchors: new AnchorSet(anchors.map((entity) => entity.certificate)),
    now: NOW,
    profile: 'compatible',
    purpose: 'clientAuth',
    ...given,
  })
  const { user, system } = process.threadCpuUsage(start)
  assert.ok(user + system < TIME_LIMIT_MS * 1_000, `took ${user + system} µs`)
  return result
}

function ruleOf(result: VerifiedPath | TrustError): string {
  return isTrustError(result) ? result.rule : 'accepted'
}

const root = forgeCa('Root')

const policy = (i: number): Uint8Array => oid(`1.2.3.${i}`)

function rsa(modulus: Uint8Array, exponent: Uint8Array): Uint8Array {
  const algorithm = sequence(oid('1.2.840.113549.1.1.1'), nullValue())
  return sequence(algorithm, bitString(sequence(integer(modulus), integer(exponent))))
}

describe('loops', () => {
  test('two CAs that certify each other', () => {
    const a = forgeCa('A')
    const b = forgeCa('B')
    const ab = forgeCa('A', { key: a.key, issuer: b })
    const ba = forgeCa('B', { key: b.key, issuer: a })
    const leaf = forge({ subject: 'd', issuer: a })
    assert.equal(ruleOf(judge(leaf, [ab, ba, a, b], [root])), 'untrusted-root')
    assert.equal(ruleOf(judge(leaf, [ab, ba], [root])), 'issuer-not-found')
    assert.equal(ruleOf(judge(leaf, [ab, ba], [b])), 'accepted')
  })

  test('a dense mesh of cross-certified CAs', () => {
    const cas = Array.from({ length: 3 }, (_, i) => forgeCa(`Mesh ${i}`))
    const mesh = cas.flatMap((issuer) => cas.map((ca, i) => forgeCa(`Mesh ${i}`, { key: ca.key, issuer })))
    const [issuer] = cas
    assert.ok(issuer)
    const leaf = forge({ subject: 'd', issuer })
    assert.notEqual(ruleOf(judge(leaf, mesh, [root])), 'accepted')
    assert.equal(ruleOf(judge(leaf, [...mesh, ...cas], [root])), 'budget-exceeded')
  })

  test('many CAs of one name and different keys, which each could have signed each', () => {
    const twins = Array.from({ length: 9 }, () => forgeCa('Root'))
    const leaf = forge({ subject: 'd', issuer: forgeCa('Root') })
    assert.equal(ruleOf(judge(leaf, twins, [root])), 'anchor-key-mismatch')
  })

  test('the same with the true issuer hidden among them, which is found', () => {
    const issuer = forgeCa('Root', { issuer: root })
    const twins = Array.from({ length: 8 }, () => forgeCa('Root', { issuer: root }))
    assert.equal(ruleOf(judge(forge({ subject: 'd', issuer }), [...twins, issuer], [root])), 'accepted')
  })
})

describe('size', () => {
  test('more certificates than a chain may hold', () => {
    const many = Array.from({ length: 10 }, (_, i) => forgeCa(`CA ${i}`, { issuer: root }))
    assert.equal(ruleOf(judge(forge({ subject: 'd', issuer: root }), many, [root])), 'budget-exceeded')
  })

  test('a chain longer than a path may be', () => {
    let top = root
    const chain = Array.from({ length: 9 }, (_, i) => (top = forgeCa(`Level ${i}`, { issuer: top })))
    const error = judge(forge({ subject: 'd', issuer: top }), chain, [root])
    assert.equal(ruleOf(error), 'budget-exceeded')
    assert.ok(isTrustError(error) && error.evidence?.['item'] === 'pathLength')
    assert.equal(
      ruleOf(judge(forge({ subject: 'd', issuer: chain[7] ?? root }), chain.slice(0, 8), [root])),
      'accepted',
    )
  })

  test('a certificate of more than 64 kB is not even read', () => {
    assert.throws(() => parseCertificate(new Uint8Array(65_537).fill(0x30)), ParseError)
  })

  test('thousands of names against a thousand constraints', () => {
    const permitted = Array.from({ length: 1_000 }, (_, i) => sequence(implicit(2, Buffer.from(`c${i}.example`))))
    const constraints = extension(ExtensionOid.nameConstraints, sequence(explicit(0, ...permitted)), true)
    const constrained = forgeCa('Constrained', { issuer: root, extensions: [...caExtensions(), constraints] })
    const names = Array.from({ length: 2_000 }, (_, i) => implicit(2, Buffer.from(`n${i}.c999.example`)))
    const alternative = extension(ExtensionOid.subjectAltName, sequence(...names))
    const leaf = forge({ subject: 'd', issuer: constrained, extensions: [...leafExtensions(), alternative] })
    const error = judge(leaf, [constrained], [root])
    assert.equal(ruleOf(error), 'budget-exceeded')
    assert.ok(isTrustError(error) && error.evidence?.['item'] === 'nameComparisons')
  })

  test('thousands of policies mapped onto each other (CVE-2023-0464)', () => {
    const policies = extension(
      ExtensionOid.certificatePolicies,
      sequence(...Array.from({ length: 100 }, (_, i) => sequence(policy(i)))),
    )
    const mapping = extension(
      ExtensionOid.policyMappings,
      sequence(...Array.from({ length: 100 }, (_, i) => sequence(policy(i % 2), policy(i)))),
    )
    let top = root
    const chain = Array.from({ length: 8 }, (_, i) => {
      top = forgeCa(`P${i}`, { issuer: top, extensions: [...caExtensions(), policies, mapping] })
      return top
    })
    const leaf = forge({ subject: 'd', issuer: top, extensions: [...leafExtensions(), policies] })
    assert.equal(ruleOf(judge(leaf, chain, [root], { policies: { requireExplicit: true } })), 'accepted')
  })

  test('an RSA key of 16,384 bits or with a huge exponent is refused without being used', () => {
    const huge = rsa(Buffer.alloc(2048, 0xff), Buffer.from([1, 0, 1]))
    const slow = rsa(Buffer.alloc(256, 0xff), Buffer.alloc(256, 0xff))
    const tiny = rsa(Buffer.alloc(128, 0xff), Buffer.from([1, 0, 1]))
    for (const [spki, rule] of [
      [huge, 'unsupported-algorithm'],
      [slow, 'weak-key'],
      [tiny, 'weak-key'],
    ] as const) {
      assert.equal(ruleOf(judge(forge({ subject: 'd', issuer: root, spki }), [], [root])), rule)
      const ca = forgeCa('Huge', { issuer: root, spki })
      assert.equal(ruleOf(judge(forge({ subject: 'd', issuer: ca }), [ca], [root])), rule)
    }
  })

  test('a key that is no point on its curve verifies nothing', () => {
    const spki = Buffer.from(forge({}).certificate.spki)
    spki.fill(0xab, spki.length - 64)
    const ca = forgeCa('Off the curve', { issuer: root, spki })
    assert.equal(ruleOf(judge(forge({ subject: 'd', issuer: ca }), [ca], [root])), 'signature-invalid')
  })
})

describe('many hostile chains', () => {
  test('leave no trace: what strangers send is not remembered', () => {
    const verifier = new PathVerifier({ cacheSize: 4 })
    const anchors = new AnchorSet([root.certificate])
    const line = forgeCa('Line', { issuer: root })
    const leaf = forge({ subject: 'd', issuer: line })
    const request = { anchors, now: NOW, profile: 'compatible', purpose: 'clientAuth' } as const
    const good = { ...request, leaf: leaf.certificate, intermediates: [line.certificate] }
    assert.ok(verifier.verify(good) instanceof VerifiedPath)
    for (let i = 0; i < 50; i++) {
      const fake = forgeCa('Line', { issuerName: root.name, extensions: [basicConstraints(true)] })
      const bad = forge({ subject: 'd', issuer: fake, key: generateKey('p256') })
      assert.ok(isTrustError(verifier.verify({ ...request, leaf: bad.certificate, intermediates: [fake.certificate] })))
    }
    assert.ok(verifier.signatures.isKnown(line.certificate, root.certificate))
  })

  test('recombined by the thousand: none accepted, none slow, and nothing of them is kept', (t) => {
    const { pool, leaves } = hostilePool()
    const verifier = new PathVerifier({ cacheSize: 100 })
    const rules = new Set<string>()
    let settled = 0
    const start = process.threadCpuUsage()
    for (let i = 0; i < CHAINS; i++) {
      const sent = Array.from({ length: 1 + (i % 11) }, (_, k) => pool[(i * 7 + k * k * 3 + k) % pool.length] ?? root)
      const leaf = leaves[i % leaves.length] ?? root
      rules.add(ruleOf(judge(leaf, sent, [root], {}, verifier)))
      if (i === CHAINS / 10) settled = heapUsed()
    }
    const { user, system } = process.threadCpuUsage(start)
    const each = (user + system) / CHAINS
    const growth = heapUsed() - settled
    assert.ok(!rules.has('accepted'))
    assert.ok(rules.has('budget-exceeded') && rules.has('unsupported-algorithm') && rules.size > 4, [...rules].join())
    assert.ok(growth < GROWTH_LIMIT, `${growth} bytes more`)
    assert.ok(each < MEAN_LIMIT_US, `${each} µs`)
    t.diagnostic(`${CHAINS} chains, ${each.toFixed(0)} µs each, ${growth} bytes more: ${[...rules].join()}`)
  })
})

/** Loops, names by the ten thousand, huge keys and deep nesting, to be mixed with each other. */
function hostilePool(): { readonly pool: readonly Entity[]; readonly leaves: readonly Entity[] } {
  const cas = Array.from({ length: 4 }, (_, i) => forgeCa(i < 2 ? 'Root' : `CA ${i}`))
  const mesh = cas.flatMap((issuer) => cas.map(({ key }, i) => forgeCa(i < 2 ? 'Root' : `CA ${i}`, { key, issuer })))
  const spki = rsa(Buffer.alloc(2048, 0xff), Buffer.from([1, 0, 1]))
  const [first = root] = cas
  const huge = forgeCa('Huge', { issuer: root, spki })
  // 10,000 short names fill what a certificate may hold of them.
  const names = Array.from({ length: 10_000 }, (_, i) => implicit(2, Buffer.from(i.toString(36))))
  const alternative = extension(ExtensionOid.subjectAltName, sequence(...names))
  const permitted = Array.from({ length: 1_000 }, (_, i) => sequence(implicit(2, Buffer.from(`c${i}`))))
  const constraints = extension(ExtensionOid.nameConstraints, sequence(explicit(0, ...permitted)), true)
  const constrained = forgeCa('Constrained', { issuer: root, extensions: [...caExtensions(), constraints] })
  let nested = nullValue()
  for (let depth = 0; depth < 1_000; depth++) nested = sequence(nested)
  const deep = forgeCa('Deep', { issuer: root, extensions: [...caExtensions(), extension('1.2.3.4', nested, true)] })
  // Those under our own root get as far as the names are compared, the keys weighed and the extensions read.
  const issuers = [...cas, ...mesh, huge, deep]
  const crowded = [...issuers, constrained, constrained].map((issuer) =>
    forge({ subject: 'd', issuer, extensions: [...leafExtensions(), alternative] }),
  )
  const leaves = [...issuers.map((issuer) => forge({ subject: 'd', issuer })), ...crowded]
  leaves.push(forge({ subject: 'd', issuer: first, spki }))
  return {
    pool: [...issuers, constrained, constrained, ...leaves, forgeCa('Root', { issuerName: root.name }), root],
    leaves,
  }
}

/** Of what is reachable. */
function heapUsed(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}
