import assert from 'node:assert/strict'
import { constants } from 'node:crypto'
import { describe, test } from 'node:test'
import { explicit, integer, nullValue, oid, sequence } from '../src/der-writer.ts'
import type { Certificate, PathRequest, TrustError, TrustRule } from '../src/index.ts'
import {
  AnchorSet,
  ExtensionOid,
  generateKey,
  isTrustError,
  KeyPurpose,
  PathVerifier,
  VerifiedPath,
} from '../src/index.ts'
import type { Entity } from './forge.ts'
import {
  basicConstraints,
  caExtensions,
  DAY,
  extendedKeyUsage,
  extension,
  forge,
  forgeCa,
  keyUsage,
  leafExtensions,
  name,
  NOW,
  SHA1_WITH_RSA,
  SHA256_WITH_RSA,
} from './forge.ts'

const verifier = new PathVerifier({ cacheSize: 100, leafCacheSize: 100 })

type Given = Partial<Omit<PathRequest, 'leaf' | 'intermediates' | 'anchors'>>

function verify(
  leaf: Entity,
  sent: readonly Entity[],
  anchors: readonly Entity[],
  given: Given = {},
): VerifiedPath | TrustError {
  return verifier.verify({
    leaf: leaf.certificate,
    intermediates: sent.map((entity) => entity.certificate),
    anchors: new AnchorSet(anchors.map((entity) => entity.certificate)),
    now: NOW,
    profile: 'compatible',
    purpose: 'clientAuth',
    ...given,
  })
}

function accepted(result: VerifiedPath | TrustError): readonly Certificate[] {
  assert.ok(result instanceof VerifiedPath, isTrustError(result) ? result.message : 'no path')
  return result.certificates
}

function refused(result: VerifiedPath | TrustError, rule: TrustRule): TrustError {
  assert.ok(!(result instanceof VerifiedPath), `accepted, though ${rule} was expected`)
  assert.equal(result.rule, rule, result.message)
  assert.ok(result.remedy.length > 0)
  return result
}

const root = forgeCa('Root')
const line = forgeCa('Line 7 CA', { issuer: root })
const device = forge({ subject: 'device-1', issuer: line })

describe('a path', () => {
  test('leads from the leaf over what was sent to the anchor', () => {
    const result = verify(device, [line], [root])
    assert.deepEqual(accepted(result), [device.certificate, line.certificate, root.certificate])
    assert.ok(result instanceof VerifiedPath)
    assert.equal(result.leaf, device.certificate)
    assert.equal(result.anchor, root.certificate)
    assert.equal(result.notAfter, NOW + 365 * DAY)
  })

  test('is found whatever else was sent, in whatever order, however often', () => {
    const stray = forgeCa('Stray')
    accepted(verify(device, [stray, root, device, line, line, device, stray], [root]))
  })

  test('ends at a registered intermediate, without its root', () => {
    assert.equal(accepted(verify(device, [], [line])).length, 2)
    assert.equal(accepted(verify(device, [line, root], [line])).length, 2)
  })

  test('authenticates the leaf that was asked about, not another one that was sent (duplicate leaf bypass)', () => {
    const evil = forge({ subject: 'device-1', issuer: forgeCa('Evil CA') })
    refused(verify(evil, [line, device, evil], [root]), 'issuer-not-found')
  })

  test('cannot be made by hand', () => {
    const forged = Reflect.construct.bind(undefined, VerifiedPath)
    assert.throws(() => forged([Symbol('verified'), [device.certificate], []]), TypeError)
    const path = verify(device, [line], [root])
    assert.ok(path instanceof VerifiedPath)
    assert.throws(() => (path.certificates as Certificate[]).pop(), TypeError)
  })

  test('has an end: the earliest on it', () => {
    const short = forgeCa('Short', { issuer: root, notAfter: NOW + DAY })
    const result = verify(forge({ subject: 'd', issuer: short }), [short], [root])
    assert.ok(result instanceof VerifiedPath)
    assert.equal(result.notAfter, NOW + DAY)
  })
})

describe('several ways up', () => {
  test('an expired cross certificate is passed over for the current one', () => {
    const oldRoot = forgeCa('Old Root', { notAfter: NOW - 1000 })
    const crossed = forgeCa('Line 7 CA', { issuer: oldRoot, key: line.key })
    accepted(verify(device, [crossed, line], [oldRoot, root]))
    accepted(verify(device, [line, crossed], [oldRoot, root]))
  })

  test('a CA that changed its key: both keys lead up', () => {
    const newLine = forgeCa('Line 7 CA', { issuer: root })
    accepted(verify(device, [newLine, line], [root]))
    accepted(verify(forge({ subject: 'new', issuer: newLine }), [line, newLine], [root]))
    const newWithOld = forgeCa('Root', { issuer: root })
    const below = forgeCa('Below', { issuer: newWithOld })
    accepted(verify(forge({ subject: 'd', issuer: below }), [below, newWithOld], [root]))
  })

  test('decoys of the same name do not hide the true issuer', () => {
    const decoys = Array.from({ length: 6 }, () => forgeCa('Line 7 CA', { issuer: forgeCa('Root') }))
    accepted(verify(device, [...decoys, line], [root]))
  })

  test('a renewed anchor with the same key stands in for the expired one', () => {
    const expired = forgeCa('Root', { key: root.key, notAfter: NOW - DAY })
    accepted(verify(device, [line], [expired, root]))
    refused(verify(device, [line], [expired]), 'expired')
  })

  test('a refusal by revocation of one path leaves the other one open', () => {
    const other = forgeCa('Other Root')
    const crossed = forgeCa('Line 7 CA', { issuer: other, key: line.key })
    const verdict: TrustError = { kind: 'trust-error', rule: 'revoked', message: 'revoked', remedy: 'none' }
    const checkRevocation = (path: readonly Certificate[]): TrustError | undefined =>
      path.includes(root.certificate) ? verdict : undefined
    assert.equal(
      accepted(verify(device, [line, crossed], [root, other], { checkRevocation })).at(-1),
      other.certificate,
    )
    refused(verify(device, [line], [root], { checkRevocation }), 'revoked')
  })
})

describe('what is missing or false is named', () => {
  test('an intermediate that was not sent', () => {
    const error = refused(verify(device, [], [root]), 'issuer-not-found')
    assert.match(error.message, /"CN=device-1" was issued by "CN=Line 7 CA", which was not sent/)
    assert.match(error.remedy, /append it to the device's chain file/)
    assert.equal(error.certificate?.position, 0)
  })

  test('a root that is not registered', () => {
    const error = refused(verify(device, [line, root], []), 'untrusted-root')
    assert.equal(error.certificate?.sha256, root.certificate.sha256)
  })

  test('a self-signed device certificate', () => {
    refused(verify(forge({ subject: 'alone' }), [], [root]), 'untrusted-root')
  })

  test('a self-made CA with the name of the registered one', () => {
    const fake = forgeCa('Root')
    const mine = forge({ subject: 'device-1', issuer: fake })
    refused(verify(mine, [fake], [root]), 'anchor-key-mismatch')
  })

  test('a self-made CA with the name and the key identifier of the registered one', () => {
    const identifier = Buffer.from('0414aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'hex')
    const identified = [...caExtensions(), extension(ExtensionOid.subjectKeyIdentifier, identifier)]
    const real = forgeCa('Root', { extensions: identified })
    const fake = forgeCa('Root', { extensions: identified })
    const authority = Buffer.from('30168014aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'hex')
    const extensions = [...leafExtensions(), extension(ExtensionOid.authorityKeyIdentifier, authority)]
    const mine = forge({ subject: 'device-1', issuer: fake, extensions })
    refused(verify(mine, [fake], [real]), 'anchor-key-mismatch')
    refused(verify(mine, [], [real]), 'signature-invalid')
  })

  test('a leaf whose signature was tampered with', () => {
    refused(
      verify(forge({ subject: 'x', issuer: root, signedBy: generateKey('p256') }), [], [root]),
      'signature-invalid',
    )
  })

  test('an intermediate in the chain swapped for one of the same name', () => {
    const swapped = forgeCa('Line 7 CA', { issuer: root })
    refused(verify(device, [swapped], [root]), 'signature-invalid')
  })

  test('a registered CA that is presented as a device', () => {
    refused(verify(root, [], [root]), 'anchor-as-leaf')
    refused(verify(line, [], [line]), 'anchor-as-leaf')
    accepted(verify(line, [], [root, line], { purpose: 'any' }))
  })

  test('a self-issued certificate that the anchor made for its own key proves nothing new', () => {
    refused(verify(forgeCa('Root', { issuer: root, key: root.key }), [], [root]), 'anchor-as-leaf')
  })
})

function below(intermediate: Entity, anchor = root): readonly [Entity, Entity[], Entity[]] {
  return [forge({ subject: 'd', issuer: intermediate }), [intermediate], [anchor]]
}

function under(anchor: Entity): readonly [Entity, Entity[], Entity[]] {
  return [forge({ subject: 'd', issuer: anchor }), [], [anchor]]
}

describe('each certificate', () => {
  const cases: readonly (readonly [string, TrustRule, () => readonly [Entity, Entity[], Entity[]]])[] = [
    ['expired leaf', 'expired', () => [forge({ issuer: root, notAfter: NOW - 1000 }), [], [root]]],
    ['leaf of tomorrow', 'not-yet-valid', () => [forge({ issuer: root, notBefore: NOW + 1000 }), [], [root]]],
    ['expired intermediate', 'expired', () => below(forgeCa('I', { issuer: root, notAfter: NOW - 1000 }))],
    ['expired anchor', 'expired', () => under(forgeCa('Old', { notAfter: NOW - 1000 }))],
    ['device used as a CA', 'not-a-ca', () => [forge({ issuer: device }), [device, line], [root]]],
    ['cA FALSE', 'not-a-ca', () => below(forge({ subject: 'I', issuer: root, extensions: [basicConstraints(false)] }))],
    ['v1 intermediate', 'not-a-ca', () => below(forge({ subject: 'I', issuer: root, version: 1 }))],
    [
      'CA that may not sign certificates',
      'key-usage',
      () => below(forge({ subject: 'I', issuer: root, extensions: [basicConstraints(true), keyUsage('cRLSign')] })),
    ],
    [
      'leaf that may not sign',
      'key-usage',
      () => [forge({ issuer: root, extensions: [keyUsage('keyEncipherment')] }), [], [root]],
    ],
    [
      'server certificate',
      'extended-key-usage',
      () => [forge({ issuer: root, extensions: [extendedKeyUsage(KeyPurpose.serverAuth)] }), [], [root]],
    ],
    ['empty EKU', 'extended-key-usage', () => [forge({ issuer: root, extensions: [extendedKeyUsage()] }), [], [root]]],
    [
      'CA for servers only',
      'extended-key-usage',
      () =>
        below(forgeCa('I', { issuer: root, extensions: [...caExtensions(), extendedKeyUsage(KeyPurpose.serverAuth)] })),
    ],
    [
      'unknown critical extension on the leaf',
      'unknown-critical-extension',
      () => [forge({ issuer: root, extensions: [extension('1.2.3.4', sequence(), true)] }), [], [root]],
    ],
    [
      'unknown critical extension on the anchor',
      'unknown-critical-extension',
      () => under(forgeCa('R', { extensions: [...caExtensions(), extension('1.2.3.4', sequence(), true)] })),
    ],
    [
      'duplicate extension',
      'duplicate-extension',
      () => below(forgeCa('I', { issuer: root, extensions: [...caExtensions(), basicConstraints(true)] })),
    ],
    ['path length 0 passed', 'path-length-exceeded', () => below(forgeCa('I', { issuer: forgeCaRoot0 }), forgeCaRoot0)],
    [
      'algorithm in and out differ',
      'algorithm-mismatch',
      () => [forge({ issuer: root, outerAlgorithm: SHA256_WITH_RSA }), [], [root]],
    ],
    [
      'ECDSA signature under an RSA name',
      'signature-invalid',
      () => [forge({ issuer: root, algorithm: SHA256_WITH_RSA }), [], [root]],
    ],
    ['empty issuer', 'malformed-certificate', () => [forge({ issuer: root, issuerName: sequence() }), [], [root]]],
  ]
  const forgeCaRoot0 = forgeCa('Root 0', { pathLength: 0 })

  for (const [what, rule, make] of cases) {
    test(`${what}: ${rule}`, () => {
      const [leaf, sent, anchors] = make()
      refused(verify(leaf, sent, anchors), rule)
      assert.ok(isTrustError(verify(leaf, sent, anchors, { profile: 'strict' })))
    })
  }

  test('validity is inclusive to the second', () => {
    const leaf = forge({ subject: 'd', issuer: root, notBefore: NOW, notAfter: NOW })
    accepted(verify(leaf, [], [root], { now: NOW }))
    accepted(verify(leaf, [], [root], { now: NOW + 999 }))
    refused(verify(leaf, [], [root], { now: NOW + 1000 }), 'expired')
    const early = refused(verify(leaf, [], [root], { now: NOW - 1 }), 'not-yet-valid')
    assert.match(early.message, /1 s too early/)
  })

  test('self-issued intermediates do not count towards the path length', () => {
    const top = forgeCa('Top', { pathLength: 0 })
    const rolled = forgeCa('Top', { issuer: top, extensions: caExtensions(0) })
    accepted(verify(forge({ subject: 'd', issuer: rolled }), [rolled], [top]))
  })

  test('clientAuth and anyExtendedKeyUsage let a device in', () => {
    for (const purpose of [KeyPurpose.clientAuth, KeyPurpose.any]) {
      accepted(verify(forge({ issuer: root, extensions: [extendedKeyUsage('1.2.3', purpose)] }), [], [root]))
    }
  })
})

describe('profiles', () => {
  test('compatible accepts what SDK tools make: v1 leaves, intermediates without keyUsage', () => {
    const bare = forge({ subject: 'Bare CA', issuer: root, extensions: [basicConstraints(true)] })
    const leaf = forge({ subject: 'd', issuer: bare, version: 1 })
    accepted(verify(leaf, [bare], [root]))
    refused(verify(leaf, [bare], [root], { profile: 'strict' }), 'profile-violation')
  })

  test('a v1 root may be an anchor, since its owner registered it, but never an intermediate', () => {
    const v1 = forge({ subject: 'V1 Root', version: 1 })
    const leaf = forge({ subject: 'd', issuer: v1 })
    accepted(verify(leaf, [v1], [v1]))
    refused(verify(leaf, [v1], [v1], { profile: 'strict' }), 'profile-violation')
  })
})

const SHA256 = sequence(oid('2.16.840.1.101.3.4.2.1'), nullValue())
/** RFC 4055 §3.1. */
const PSS_SHA256 = sequence(
  oid('1.2.840.113549.1.1.10'),
  sequence(explicit(0, SHA256), explicit(1, sequence(oid('1.2.840.113549.1.1.8'), SHA256)), explicit(2, integer(32))),
)

describe('keys and signatures', () => {
  for (const type of ['p384', 'ed25519', 'rsa2048', 'ml-dsa-65'] as const) {
    test(`${type} is accepted as the key of a device`, () => {
      accepted(verify(forge({ subject: 'd', issuer: root, key: generateKey(type) }), [], [root]))
    })
  }

  const schemes = [
    ['ed25519', sequence(oid('1.3.101.112')), null],
    ['p384', sequence(oid('1.2.840.10045.4.3.3')), 'sha384'],
    ['rsa3072', SHA256_WITH_RSA, 'sha256'],
    ['ml-dsa-65', sequence(oid('2.16.840.1.101.3.4.3.18')), null],
  ] as const
  for (const [type, algorithm, digest] of schemes) {
    test(`${type} from the root to the device`, () => {
      const wishes = { algorithm, digest } as const
      const top = forgeCa('Top', { ...wishes, key: generateKey(type) })
      const middle = forgeCa('Middle', { ...wishes, key: generateKey(type), issuer: top })
      const leaf = forge({ ...wishes, subject: 'd', key: generateKey(type), issuer: middle })
      accepted(verify(leaf, [middle], [top]))
      const forged = forge({ ...wishes, subject: 'd', issuer: middle, signedBy: generateKey(type) })
      refused(verify(forged, [middle], [top]), 'signature-invalid')
    })
  }

  const rsa = forgeCa('RSA', { key: generateKey('rsa2048'), algorithm: SHA256_WITH_RSA })

  test('RSASSA-PSS is accepted with one hash and a salt as long as the hash, and in no other form', () => {
    const pss = { key: rsa.key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
    const signed = forge({ subject: 'd', issuer: rsa, algorithm: PSS_SHA256, signedBy: pss })
    accepted(verify(signed, [], [rsa]))
    const shortSalt = forge({ subject: 'd', issuer: rsa, algorithm: PSS_SHA256, signedBy: { ...pss, saltLength: 20 } })
    refused(verify(shortSalt, [], [rsa]), 'signature-invalid')
    const bare = sequence(oid('1.2.840.113549.1.1.10'))
    refused(
      verify(forge({ subject: 'd', issuer: rsa, algorithm: bare, signedBy: pss }), [], [rsa]),
      'unsupported-algorithm',
    )
  })

  test('SHA-1 is refused, but on the own signature of an anchor, which proves nothing', () => {
    const old = { algorithm: SHA1_WITH_RSA, digest: 'sha1' } as const
    refused(verify(forge({ ...old, subject: 'd', issuer: rsa }), [], [rsa]), 'weak-signature')
    const oldRoot = forgeCa('Old Root', { ...old, key: rsa.key })
    const leaf = forge({ subject: 'd', issuer: oldRoot, algorithm: SHA256_WITH_RSA })
    accepted(verify(leaf, [oldRoot], [oldRoot]))
  })

  test('names that differ in case, blanks and string type are the same issuer', () => {
    const ca = forgeCa('Straße  7')
    accepted(verify(forge({ subject: 'd', issuer: ca, issuerName: name(' STRASSE 7'.replace('SS', 'ß')) }), [], [ca]))
  })
})

describe('a leaf whose signature is remembered', () => {
  const root = forgeCa('Root')
  const leaf = forge({ subject: 'dev', issuer: root, extensions: [extendedKeyUsage(KeyPurpose.clientAuth)] })

  test('is judged anew in everything else', () => {
    accepted(verify(leaf, [], [root]))
    refused(verify(leaf, [], [root], { now: leaf.certificate.notAfter + 1000 }), 'expired')
    refused(verify(leaf, [], [root], { purpose: 'serverAuth' }), 'extended-key-usage')
    refused(verify(leaf, [], [forgeCa('Root')]), 'signature-invalid')
    accepted(verify(leaf, [], [root]))
  })

  test('costs no signature of the budget, and a stranger that looks like it does', () => {
    accepted(verify(leaf, [], [root]))
    accepted(verify(leaf, [], [root], { budget: { signatures: 0 } }))
    const stranger = forge({ subject: 'dev', issuer: forgeCa('Root') })
    refused(verify(stranger, [], [root], { budget: { signatures: 0 } }), 'budget-exceeded')
    refused(verify(stranger, [], [root]), 'signature-invalid')
    refused(verify(stranger, [], [root]), 'signature-invalid')
  })
})
