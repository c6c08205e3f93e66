import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { explicit, implicit, integer, octetString, sequence } from '../src/der-writer.ts'
import type { Certificate, Crl, Revocation, RevocationPolicy, TrustError } from '../src/index.ts'
import {
  AnchorSet,
  certificateId,
  checkRevocation,
  encodePem,
  ExtensionOid,
  isTrustError,
  ParseError,
  parseCrl,
  parseCrls,
  PathVerifier,
  VerifiedPath,
} from '../src/index.ts'
import type { Entity } from './forge.ts'
import { basicConstraints, DAY, extension, forge, forgeCa, keyUsage, NOW } from './forge.ts'
import { forgeCrl } from './forge-crl.ts'

const root = forgeCa('Root')
const line = forgeCa('Line', { issuer: root })
const device = forge({ subject: 'device-1', issuer: line })
const other = forge({ subject: 'device-2', issuer: line })
const path = [device.certificate, line.certificate, root.certificate]

/** ReasonCode values (RFC 5280 §5.3.1). */
const [KEY_COMPROMISE, HOLD, REMOVE] = [1, 6, 8]

interface Known {
  readonly crls?: readonly Crl[]
  readonly policy?: RevocationPolicy
  readonly decided?: ReadonlyMap<string, Revocation>
  readonly signers?: readonly Entity[]
}

function check(known: Known, over: readonly Certificate[] = path): TrustError | undefined {
  const { crls = [], policy = 'require', decided, signers = [] } = known
  return checkRevocation({
    path: over,
    facts: {
      find: (certificate) => decided?.get(certificateId(certificate)),
      crlsBy: (issuer) => crls.filter((crl) => crl.issuer.key === issuer.key),
      policyOf: () => policy,
    },
    now: NOW,
    verifier: new PathVerifier({ cacheSize: 10 }),
    signers: signers.map(({ certificate }) => certificate),
  })
}

const rootCrl = forgeCrl({ issuer: root, number: 1 })
const lineCrl = (wishes: Partial<Parameters<typeof forgeCrl>[0]> = {}): Crl =>
  forgeCrl({ issuer: line, number: 7, revoked: [[other]], ...wishes })
const revoking = lineCrl({ revoked: [[device, KEY_COMPROMISE]] })

describe('decisions of the operator', () => {
  const revocation: Revocation = { revokedAt: NOW - 5000, reason: 'keyCompromise', source: 'revoked by an operator' }

  test('hold for the leaf, for an intermediate and for the anchor, whatever the policy', () => {
    for (const [position, certificate] of path.entries()) {
      for (const policy of ['require', 'prefer', 'off'] as const) {
        const decided = new Map([[certificateId(certificate), revocation]])
        const error = check({ policy, decided, crls: [rootCrl, lineCrl()] })
        assert.equal(error?.rule, 'revoked')
        assert.equal(error?.certificate?.position, position)
        assert.match(error?.message ?? '', /keyCompromise; revoked by an operator/)
      }
    }
  })

  test('are about one issuer and serial: the id depends on both', () => {
    const twin = forge({ subject: 'device-1', issuer: root, serial: device.certificate.serial })
    assert.notEqual(certificateId(twin.certificate), certificateId(device.certificate))
    assert.notEqual(certificateId(other.certificate), certificateId(device.certificate))
    assert.equal(
      certificateId(device.certificate),
      certificateId({ issuer: line.certificate.subject, serial: device.certificate.serial }),
    )
  })
})

describe('CRLs', () => {
  test('accept what is on none, refuse what is on one', () => {
    assert.equal(check({ crls: [rootCrl, lineCrl()] }), undefined)
    const error = check({ crls: [rootCrl, revoking] })
    assert.equal(error?.rule, 'revoked')
    assert.equal(error?.evidence?.['reason'], 'keyCompromise')
    assert.match(error?.message ?? '', /CRL 7 of "CN=Line"/)
  })

  test('of the root reach the intermediate and so its whole subtree', () => {
    const crls = [forgeCrl({ issuer: root, number: 2, revoked: [[line]] }), lineCrl()]
    assert.equal(check({ crls })?.certificate?.subject, 'CN=Line')
  })

  test('missing: require refuses, prefer and off accept', () => {
    assert.equal(check({})?.rule, 'revocation-unknown')
    assert.equal(check({ crls: [rootCrl] })?.rule, 'revocation-unknown')
    assert.equal(check({ policy: 'prefer' }), undefined)
    assert.equal(check({ policy: 'off', crls: [revoking] }), undefined)
    assert.equal(check({ policy: 'prefer', crls: [revoking] })?.rule, 'revoked')
  })

  const doubtful: Record<string, Partial<Parameters<typeof forgeCrl>[0]>> = {
    overdue: { number: 7, nextUpdate: NOW - 1000 },
    'not valid yet': { number: 7, thisUpdate: NOW + 1000, nextUpdate: NOW + DAY },
    'without a number': {},
  }
  for (const [what, wishes] of Object.entries(doubtful)) {
    test(`${what}: prove that a certificate is revoked, but not that it is good`, () => {
      assert.equal(
        check({ crls: [rootCrl, forgeCrl({ ...wishes, issuer: line, revoked: [[other]] })] })?.rule,
        'revocation-unknown',
      )
      assert.equal(
        check({ crls: [rootCrl, forgeCrl({ ...wishes, issuer: line, revoked: [[other]] })], policy: 'prefer' }),
        undefined,
      )
      assert.equal(
        check({ crls: [rootCrl, forgeCrl({ ...wishes, issuer: line, revoked: [[device]] })], policy: 'prefer' })?.rule,
        'revoked',
      )
    })
  }

  test('signed by another key, by a device, or by a CA that may not, count for nothing', () => {
    const forged = lineCrl({ signedBy: root.key, revoked: [] })
    assert.equal(check({ crls: [rootCrl, forged] })?.rule, 'revocation-unknown')
    assert.equal(
      check({ crls: [rootCrl, lineCrl({ signedBy: root.key, revoked: [[device]] })], policy: 'prefer' }),
      undefined,
    )
    const silent = forge({
      subject: 'Silent',
      issuer: root,
      extensions: [basicConstraints(true), keyUsage('keyCertSign')],
    })
    const below = forge({ subject: 'd', issuer: silent })
    const crls = [rootCrl, forgeCrl({ issuer: silent, number: 1 })]
    const error = check({ crls }, [below.certificate, silent.certificate, root.certificate])
    assert.match(error?.message ?? '', /not signed by a CA that may sign it/)
  })

  test('with critical extensions that are not understood decide nothing, on the list or on an entry', () => {
    const strange = extension('1.2.3.4', octetString(Buffer.of(1)), true)
    for (const crl of [lineCrl({ extensions: [strange] }), lineCrl({ entryExtensions: [strange] })]) {
      assert.deepEqual(crl.unknownCritical, ['1.2.3.4'])
      assert.equal(check({ crls: [rootCrl, crl] })?.rule, 'revocation-unknown')
    }
  })

  test('of a newer number replace older ones, in whatever order they are at hand', () => {
    const old = lineCrl({ number: 6, revoked: [[device, HOLD]] })
    assert.equal(check({ crls: [old, rootCrl, lineCrl()] }), undefined)
    assert.equal(check({ crls: [lineCrl({ number: 5, revoked: [] }), rootCrl, old] })?.rule, 'revoked')
  })
})

describe('delta CRLs', () => {
  test('add to their base and take back a hold', () => {
    const added = lineCrl({ number: 8, base: 7, revoked: [[device]] })
    assert.equal(check({ crls: [rootCrl, lineCrl(), added] })?.rule, 'revoked')
    const held = lineCrl({ revoked: [[device, HOLD]] })
    assert.equal(check({ crls: [rootCrl, held] })?.rule, 'revoked')
    assert.equal(
      check({ crls: [rootCrl, held, lineCrl({ number: 8, base: 7, revoked: [[device, REMOVE]] })] }),
      undefined,
    )
  })

  test('alone can take an entry back: on a complete CRL it stands', () => {
    assert.equal(check({ crls: [rootCrl, lineCrl({ revoked: [[device, REMOVE]] })] })?.rule, 'revoked')
  })

  test('do not count without their base, on an older base, of another scope or signed by another key', () => {
    const take = (wishes: Partial<Parameters<typeof forgeCrl>[0]>): Crl =>
      lineCrl({ number: 9, base: 7, revoked: [[device, REMOVE]], ...wishes })
    assert.equal(check({ crls: [rootCrl, take({})] })?.rule, 'revocation-unknown')
    const held = lineCrl({ revoked: [[device, HOLD]] })
    for (const delta of [
      take({ base: 8 }),
      take({ number: 7, base: 6 }),
      take({ signedBy: root.key }),
      take({ nextUpdate: NOW - 1000 }),
      take({
        extensions: [extension(ExtensionOid.issuingDistributionPoint, sequence(implicit(1, Buffer.of(0xff))), true)],
      }),
    ]) {
      assert.equal(check({ crls: [rootCrl, held, delta] })?.rule, 'revoked')
    }
  })
})

const scope = (...fields: Uint8Array[]): Uint8Array =>
  extension(ExtensionOid.issuingDistributionPoint, sequence(...fields), true)
const flag = (n: number): Uint8Array => implicit(n, Buffer.of(0xff))
const uri = (text: string): Uint8Array => implicit(6, Buffer.from(text))
const point = (text: string): Uint8Array => explicit(0, explicit(0, uri(text)))

describe('scope', () => {
  test('only CA certificates, only attribute certificates: nothing is said about a device', () => {
    for (const n of [2, 5])
      assert.equal(check({ crls: [rootCrl, lineCrl({ extensions: [scope(flag(n))] })] })?.rule, 'revocation-unknown')
    assert.equal(check({ crls: [rootCrl, lineCrl({ extensions: [scope(flag(1))] })] }), undefined)
  })

  test('some reasons only: the rest stays open until another CRL covers it', () => {
    const keyCompromise = scope(implicit(3, Buffer.of(6, 0x40)))
    const everythingElse = scope(implicit(3, Buffer.of(7, 0x3f, 0x80)))
    const half = lineCrl({ extensions: [keyCompromise] })
    const rest = lineCrl({ extensions: [everythingElse], number: 8 })
    assert.match(check({ crls: [rootCrl, half] })?.message ?? '', /do not cover every reason/)
    assert.equal(check({ crls: [rootCrl, half, rest] }), undefined)
  })

  test('a CRL of another distribution point is not about this certificate', () => {
    const points = extension(ExtensionOid.crlDistributionPoints, sequence(sequence(point('http://a/1.crl'))))
    const leaf = forge({ subject: 'd', issuer: line, extensions: [points] })
    const over = [leaf.certificate, line.certificate, root.certificate]
    const published = (text: string): Crl => lineCrl({ extensions: [scope(point(text))] })
    assert.equal(check({ crls: [rootCrl, published('http://a/2.crl')] }, over)?.rule, 'revocation-unknown')
    assert.equal(check({ crls: [rootCrl, published('http://a/1.crl')] }, over), undefined)
  })
})

describe('a CRL signer apart from the CA', () => {
  const signer = forge({ subject: 'Line', issuer: root, extensions: [keyUsage('cRLSign')] })
  const crl = lineCrl({ issuer: signer, revoked: [] })

  test('is accepted when it leads to the same anchor and is itself not revoked', () => {
    assert.equal(check({ crls: [rootCrl, crl], signers: [signer] }), undefined)
    const revokedSigner = forgeCrl({ issuer: root, number: 2, revoked: [[signer]] })
    assert.equal(check({ crls: [revokedSigner, crl], signers: [signer] })?.rule, 'revocation-unknown')
    assert.equal(check({ crls: [rootCrl, crl] })?.rule, 'revocation-unknown')
  })

  test('is refused when a stranger made it, or when it may not sign CRLs', () => {
    const stranger = forge({ subject: 'Line', issuer: forgeCa('Root'), extensions: [keyUsage('cRLSign')] })
    assert.equal(
      check({ crls: [rootCrl, lineCrl({ issuer: stranger, revoked: [] })], signers: [stranger] })?.rule,
      'revocation-unknown',
    )
    const plain = forge({ subject: 'Line', issuer: root, extensions: [keyUsage('digitalSignature')] })
    assert.equal(
      check({ crls: [rootCrl, lineCrl({ issuer: plain, revoked: [] })], signers: [plain] })?.rule,
      'revocation-unknown',
    )
  })
})

test('revocation is part of verification: a revoked path is no VerifiedPath', () => {
  const verifier = new PathVerifier({ cacheSize: 10 })
  const verify = (crls: readonly Crl[]): VerifiedPath | TrustError =>
    verifier.verify({
      leaf: device.certificate,
      intermediates: [line.certificate],
      anchors: new AnchorSet([root.certificate]),
      now: NOW,
      profile: 'compatible',
      purpose: 'clientAuth',
      checkRevocation: (candidate) => check({ crls }, candidate),
    })
  assert.ok(verify([rootCrl, lineCrl()]) instanceof VerifiedPath)
  const refused = verify([rootCrl, revoking])
  assert.ok(isTrustError(refused) && refused.rule === 'revoked')
})

test('a CRL is read as strictly as a certificate', () => {
  const { der } = revoking
  assert.deepEqual(
    parseCrls(encodePem('X509 CRL', der)).map((crl) => crl.sha256),
    [revoking.sha256],
  )
  assert.throws(() => parseCrls('nothing'), ParseError)
  for (let length = 0; length < der.length; length++) assert.throws(() => parseCrl(der.subarray(0, length)), ParseError)
  assert.throws(() => lineCrl({ extensions: [extension(ExtensionOid.crlNumber, integer(1))] }), /duplicate/)
  assert.throws(
    () => lineCrl({ revoked: [[device, 7]] }).find(line.certificate.subject, device.certificate.serial),
    /reason code/,
  )
})

test('a CRL of 100,000 entries is read once and then asked in no time', () => {
  const serials = Array.from({ length: 100_000 }, (_, i) => integer(i + 1).subarray(2))
  const entries = serials.map((serial) => [{ certificate: { serial } }] as const)
  const crl = forgeCrl({ issuer: line, number: 1, revoked: entries })
  assert.equal(crl.size, 100_000)
  const start = process.threadCpuUsage()
  for (const serial of serials.slice(0, 10_000)) assert.ok(crl.find(line.certificate.subject, serial))
  const { user, system } = process.threadCpuUsage(start)
  assert.ok(user + system < 2_000_000, `${user + system} µs`)
})
