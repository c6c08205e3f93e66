import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, suite, test } from 'node:test'
import type { CertificateAuthority } from '../../src/model/certificate-authority.ts'
import type { ExpectedEtag } from '../../src/model/etag.ts'
import { parseAuthorityName } from '../../src/model/ids.ts'
import { DAY, forge, forgeRsaRoot, makeDevice, makeIntermediate, makeRoot, makeVerification } from './certificates.ts'
import type { Made } from './certificates.ts'
import { FACTORY, LAB, openWorkbench, peerWith, refusalOf, registerCa } from './workbench.ts'
import type { Workbench } from './workbench.ts'

const ANY: ExpectedEtag = { kind: 'any' }
const at = ({ etag }: CertificateAuthority): ExpectedEtag => ({ kind: 'exactly', etag })

suite('the register of certificate authorities', () => {
  let bench: Workbench
  let now: number
  let root: Made
  before(async () => {
    bench = await openWorkbench()
    now = bench.clock.now()
    root = await makeRoot('Acme Root', now)
  })
  beforeEach(() => {
    bench.clock.time = now
  })
  afterEach(async () => {
    for (const hub of [FACTORY, LAB])
      for (const { name } of await bench.authorities.list(hub)) await bench.authorities.delete(hub, name, ANY)
  })
  after(() => bench.close())

  const put = (name: string, der: Uint8Array, expected: ExpectedEtag | null = null) =>
    bench.authorities.put(FACTORY, name, der, { expected, peer: peerWith() })
  /** A CA of that name that waits for its proof. */
  const awaiting = async (name: string, ca = root) => {
    const issued = await bench.authorities.generateVerificationCode(FACTORY, name, at(await put(name, ca.der)))
    return { issued, code: codeOf(issued) }
  }
  const verify = (name: string, expected: ExpectedEtag, der: Uint8Array) =>
    bench.authorities.verify(FACTORY, name, expected, der, peerWith())

  test('takes a CA from upload to proof, with another etag at each step', async () => {
    const unverified = await put('acme', root.der)
    assert.deepEqual(unverified.state, { kind: 'unverified' })
    assert.equal((await bench.anchors.forHub(FACTORY)).size, 0)
    const issued = await bench.authorities.generateVerificationCode(FACTORY, 'acme', at(unverified))
    assert.match(codeOf(issued), /^[0-9A-F]{48}$/)
    assert.equal((await bench.anchors.forHub(FACTORY)).size, 0)
    const verified = await verify('acme', at(issued), await makeVerification(root, codeOf(issued), now))
    assert.deepEqual(verified.state, { kind: 'verified', since: now, by: 'proof-of-possession' })
    assert.equal(new Set([unverified.etag, issued.etag, verified.etag]).size, 3)
    assert.equal((await bench.anchors.forHub(FACTORY)).size, 1)
    assert.equal((await bench.anchors.forHub(LAB)).size, 0)
    assert.deepEqual(await bench.authorities.get(FACTORY, 'acme'), verified)
    assert.equal((await bench.authorities.list(FACTORY)).length, 1)
    await bench.authorities.delete(FACTORY, 'acme', at(verified))
    assert.equal((await bench.anchors.forHub(FACTORY)).size, 0)
    await assert.rejects(bench.authorities.get(FACTORY, 'acme'), { code: 'certificate-not-found' })
  })

  test('refuses what cannot be a CA, each in words of its own', async () => {
    const valid = { notBefore: now - DAY, notAfter: now + DAY }
    const cases: [string, Uint8Array, RegExp][] = [
      ['malformed-certificate', Buffer.from('-----BEGIN'), /not a certificate/],
      ['malformed-certificate', root.der.subarray(0, 100), /not a certificate/],
      ['not-a-ca', (await makeDevice(root, 'd', now)).der, /not one of a CA/],
      ['not-a-ca', (await forge({ subject: [{ CN: ['x'] }], ...valid })).der, /not one of a CA/],
      ['weak-key', await forgeRsaRoot(1024, 'SHA-256', now), /1024 bits/],
      ['weak-signature', await forgeRsaRoot(2048, 'SHA-1', now), /sha1/],
      [
        'expired',
        (await forge({ subject: [{ CN: ['x'] }], ca: true, notBefore: now - 2 * DAY, notAfter: now - DAY })).der,
        /expired/,
      ],
      [
        'not-yet-valid',
        (await forge({ subject: [{ CN: ['x'] }], ca: true, notBefore: now + DAY, notAfter: now + 2 * DAY })).der,
        /not valid before/,
      ],
    ]
    for (const [reason, der, words] of cases) {
      const refusal = await refusalOf(put('bad', der))
      assert.equal(refusal.code, 'certificate-refused')
      assert.equal(refusal.rule, 'authority-refused')
      assert.equal(refusal.evidence['reason'], reason)
      assert.match(refusal.message, words)
      assert.match(refusal.shown, words)
      assert.match(refusal.remedy, /^[A-Z].*\.$/)
      assert.equal(refusal.area, 'certificate-authority')
      assert.equal(refusal.identity, 'bad')
    }
    await assert.rejects(put('bad name', root.der), { code: 'argument-invalid' })
    assert.deepEqual(await bench.authorities.list(FACTORY), [])
  })

  test('refuses every false proof, keeps the code, and then takes the right one', async () => {
    const { issued, code } = await awaiting('acme')
    const namesake = await makeRoot('Acme Root', now)
    const intermediate = await makeIntermediate(root, 'Acme Line', now)
    const issuer = { name: [{ CN: ['Acme Root'] }], key: root.key }
    const dated = (from: number, to: number) =>
      forge({ subject: [{ CN: [code] }], issuer, notBefore: from, notAfter: to })
    const cases: [string, Uint8Array][] = [
      ['wrong-code', await makeVerification(root, 'F'.repeat(48), now)],
      ['wrong-code', await makeVerification(root, code.toLowerCase(), now)],
      ['same-name-other-key', await makeVerification(namesake, code, now)],
      ['wrong-issuer', await makeVerification(await makeRoot('Other Root', now), code, now)],
      ['wrong-issuer', await makeVerification(intermediate, code, now)],
      ['wrong-issuer', (await forge({ subject: [{ CN: [code] }], notBefore: now - DAY, notAfter: now + DAY })).der],
      ['expired-certificate', (await dated(now - 2 * DAY, now - DAY)).der],
      ['not-yet-valid', (await dated(now + DAY, now + 2 * DAY)).der],
      ['wrong-code', root.der],
      ['malformed', Buffer.from('no certificate')],
    ]
    for (const [reason, der] of cases) {
      const refusal = await refusalOf(verify('acme', at(issued), der))
      assert.equal(refusal.code, 'possession-unproven')
      assert.equal(refusal.rule, 'possession-refused')
      if (der !== root.der) assert.equal(refusal.evidence['reason'], reason)
    }
    assert.equal((await bench.anchors.forHub(FACTORY)).size, 0)
    await verify('acme', at(issued), await makeVerification(root, code, now))
  })

  test('refuses a code that expired, was replaced, used, never given, or is of another CA', async () => {
    const { issued, code } = await awaiting('acme')
    const proof = await makeVerification(root, code, now)

    bench.clock.time = now + 3_600_000
    assert.equal(await reasonOf(verify('acme', at(issued), proof)), 'code-expired')
    bench.clock.time = now + 3_599_999
    const replaced = await bench.authorities.generateVerificationCode(FACTORY, 'acme', at(issued))
    assert.notEqual(codeOf(replaced), code)
    assert.equal(await reasonOf(verify('acme', at(replaced), proof)), 'wrong-code')
    await assert.rejects(verify('acme', at(issued), proof), { code: 'precondition-failed' })

    const fresh = await makeVerification(root, codeOf(replaced), bench.clock.now())
    const verified = await verify('acme', at(replaced), fresh)
    assert.equal(await reasonOf(verify('acme', at(verified), fresh)), 'code-used')
    await assert.rejects(bench.authorities.generateVerificationCode(FACTORY, 'acme', ANY), { code: 'argument-invalid' })

    const other = await makeRoot('Second Root', now)
    const { issued: second } = await awaiting('second', other)
    assert.equal(await reasonOf(verify('second', at(second), fresh)), 'wrong-issuer')
    const silent = await put('silent', (await makeRoot('Silent Root', now)).der)
    assert.equal(await reasonOf(verify('silent', at(silent), fresh)), 'no-code')
  })

  test('lets one proof win when two arrive at once', async () => {
    const { issued, code } = await awaiting('acme')
    const proof = await makeVerification(root, code, now)
    const outcomes = await Promise.allSettled([verify('acme', at(issued), proof), verify('acme', at(issued), proof)])
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  })

  test('binds each write to its etag', async () => {
    const unverified = await put('acme', root.der)
    const stale: ExpectedEtag = { kind: 'exactly', etag: 'b2xk' }
    await assert.rejects(put('acme', root.der), { code: 'precondition-failed' })
    await assert.rejects(put('acme', root.der, stale), { code: 'precondition-failed' })
    await assert.rejects(put('ghost', (await makeRoot('Ghost', now)).der, ANY), { code: 'precondition-failed' })
    await assert.rejects(bench.authorities.generateVerificationCode(FACTORY, 'acme', stale), {
      code: 'precondition-failed',
    })
    await assert.rejects(bench.authorities.delete(FACTORY, 'acme', stale), { code: 'precondition-failed' })
    await assert.rejects(bench.authorities.delete(FACTORY, 'ghost', ANY), { code: 'certificate-not-found' })
    await assert.rejects(verify('ghost', ANY, root.der), { code: 'certificate-not-found' })
    assert.deepEqual(await bench.authorities.get(FACTORY, 'acme'), unverified)
  })

  test('keeps the proof of the same certificate and asks another for its own', async () => {
    await registerCa(bench, 'acme', root)
    const same = await put('acme', root.der, ANY)
    assert.equal(same.state.kind, 'verified')
    const renewed = await put('acme', (await makeRoot('Acme Root', now)).der, at(same))
    assert.equal(renewed.state.kind, 'unverified')
    assert.equal((await bench.anchors.forHub(FACTORY)).size, 0)
    const issued = await bench.authorities.generateVerificationCode(FACTORY, 'acme', ANY)
    const again = await put('acme', renewed.certificate, at(issued))
    assert.equal(again.state.kind, 'unverified')
  })

  test('holds a certificate under one name, several CAs side by side, and so many', async () => {
    await registerCa(bench, 'ca0', root)
    const twin = await refusalOf(put('twin', root.der))
    assert.equal(twin.evidence['reason'], 'already-registered')
    assert.match(twin.message, /'ca0'/)
    for (let index = 1; index < 10; index++) {
      const ca = await makeRoot(`Root ${index}`, now)
      await bench.authorities.put(FACTORY, `ca${index}`, ca.der, { expected: null, verifiedByOperator: true })
    }
    assert.equal((await bench.anchors.forHub(FACTORY)).size, 10)
    await assert.rejects(put('eleventh', (await makeRoot('Eleventh', now)).der), { code: 'certificate-limit-exceeded' })
    const vouched = await bench.authorities.get(FACTORY, 'ca9')
    assert.deepEqual(vouched.state, { kind: 'verified', since: now, by: 'operator' })
    await registerCa(bench, 'ca0', root, LAB)
  })

  test('is read again after a lost hint', async () => {
    await registerCa(bench, 'acme', root)
    const known = await bench.anchors.forHub(FACTORY)
    assert.equal(known.size, 1)
    // Another node's write: this one hears of nothing.
    await bench.registry.authorities.delete(FACTORY, parseAuthorityName('acme'), ANY)
    bench.clock.time = now + 4_999
    assert.equal(await bench.anchors.forHub(FACTORY), known)
    bench.clock.time = now + 5_000
    assert.equal((await bench.anchors.forHub(FACTORY)).size, 0)
  })
})

function codeOf({ state }: CertificateAuthority): string {
  assert(state.kind === 'code-issued')
  return state.code
}

async function reasonOf(attempt: Promise<unknown>): Promise<string | undefined> {
  return (await refusalOf(attempt)).evidence['reason']
}
