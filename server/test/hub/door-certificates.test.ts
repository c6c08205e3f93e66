import assert from 'node:assert/strict'
import { after, before, beforeEach, suite, test } from 'node:test'
import { certificateId, parseCertificate } from '@holdfast/pki'
import { Door } from '../../src/hub/door/authenticate.ts'
import { Hubs } from '../../src/hub/hubs.ts'
import type { DeviceClaim } from '../../src/hub/door/authenticate.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import { DAY, forge, makeDevice, makeIntermediate, makeRoot } from './certificates.ts'
import type { Made } from './certificates.ts'
import { claimOf, FACTORY, LAB, openWorkbench, peerWith, refusalOf, registerCa } from './workbench.ts'
import type { Workbench } from './workbench.ts'

suite('a device that is known by a certificate of a CA', () => {
  let bench: Workbench
  let now: number
  let root: Made
  let intermediate: Made
  let device: Made

  before(async () => {
    bench = await openWorkbench()
    now = bench.clock.now()
    root = await makeRoot('Acme Root', now, 365)
    intermediate = await makeIntermediate(root, 'Acme Line 1', now)
    device = await makeDevice(intermediate, 'pump-1', now, 10)
    await registerCa(bench, 'acme', root)
    for (const deviceId of ['pump-1', 'Pump-1', 'pump-2', 'a', 'b'])
      await bench.devices.create(FACTORY, { deviceId, authentication: { type: 'certificateAuthority' } })
  })
  beforeEach(() => {
    bench.clock.time = now
  })
  after(() => bench.close())

  const enter = (deviceId: string, ...chain: Made[]) => bench.door.device(claimOf(deviceId), peerWith(...chain))

  const attempt = (more: Partial<DeviceClaim>) =>
    refusalOf(bench.door.device(claimOf('pump-2', more), peerWith(device, intermediate)))

  test('is let in by leaf and intermediate, with or without the root, in any order', async () => {
    for (const chain of [
      [device, intermediate],
      [device, intermediate, root],
      [device, root, intermediate],
    ]) {
      const who = await enter('pump-1', ...chain)
      assert.equal(who.device.deviceId, 'pump-1')
      assert.equal(who.hub, FACTORY)
      assert.deepEqual(
        who.path,
        [device, intermediate, root].map(({ der }) => certificateId(parseCertificate(der))),
      )
      assert.equal(who.expiresAt, parseCertificate(device.der).notAfter)
      assert.deepEqual(JSON.parse(who.authMethod), {
        scope: 'device',
        type: 'x509Certificate',
        issuer: 'external',
        acceptingIpFilterRule: null,
      })
    }
  })

  test('is let in at the last second of its certificate and refused at the next', async () => {
    const { notAfter } = parseCertificate(device.der)
    bench.clock.time = notAfter
    await enter('pump-1', device, intermediate)
    bench.clock.time = notAfter + 1_000
    const refusal = await refusalOf(enter('pump-1', device, intermediate))
    assert.equal(refusal.rule, 'chain:expired')
    assert.match(refusal.message, /pump-1.* expired at /)
  })

  test('is refused before its certificate is valid', async () => {
    bench.clock.time = now - DAY
    assert.equal((await refusalOf(enter('pump-1', device, intermediate))).rule, 'chain:not-yet-valid')
  })

  test('is refused without the intermediate, without a certificate, with garbage', async () => {
    const missing = await refusalOf(enter('pump-1', device))
    assert.equal(missing.rule, 'chain:issuer-not-found')
    assert.equal(missing.chain.length, 1)
    assert.equal(missing.chain[0]?.subject, 'CN=pump-1')
    assert.equal((await refusalOf(enter('pump-1'))).rule, 'client-certificate-missing')
    const garbage = { der: Buffer.from('not a certificate'), key: device.key }
    assert.equal((await refusalOf(enter('pump-1', garbage))).rule, 'chain:malformed-certificate')
    const truncated = { der: device.der.subarray(0, 200), key: device.key }
    assert.equal((await refusalOf(enter('pump-1', truncated, intermediate))).rule, 'chain:malformed-certificate')
    assert.equal((await refusalOf(enter('pump-1', device, garbage))).rule, 'chain:malformed-certificate')
  })

  test('is refused under the name of another, with the difference told', async () => {
    const other = await refusalOf(enter('pump-2', device, intermediate))
    assert.equal(other.rule, 'common-name-mismatch')
    assert.match(other.message, /'pump-1'.*'pump-2'.*different names/)
    assert.match((await refusalOf(enter('Pump-1', device, intermediate))).message, /case only/)
  })

  test('is refused when its common name only looks like the id', async () => {
    const cases: [string[], string, RegExp][] = [
      [['\u0430'], 'common-name-mismatch', /look alike/],
      [['a '], 'common-name-mismatch', /blanks/],
      [['\u200ba'], 'common-name-mismatch', /invisible/],
      [['a', 'b'], 'common-name-not-single', /2 common names/],
      [['a', 'a'], 'common-name-not-single', /2 common names/],
      [[], 'common-name-not-single', /no common name/],
      [['a\u0000'], 'common-name-mismatch', /invisible/],
    ]
    const issuer = { name: [{ CN: ['Acme Root'] }], key: root.key }
    for (const [names, rule, words] of cases) {
      const subject = [...names.map((CN) => ({ CN: [CN] })), { O: ['Acme'] }]
      const look = await forge({ subject, issuer, notBefore: now - DAY, notAfter: now + DAY })
      const refusal = await refusalOf(enter('a', look))
      assert.equal(refusal.rule, rule, JSON.stringify(names))
      assert.match(refusal.message, words)
    }
  })

  test('is refused under a CA that calls itself the same and shows the same key id', async () => {
    const real = parseCertificate(root.der)
    const fake = await forge({
      subject: [{ CN: ['Acme Root'] }],
      ca: true,
      notBefore: now - DAY,
      notAfter: now + DAY,
      subjectKeyId: Buffer.from(real.extensions.subjectKeyIdentifier ?? []).toString('hex'),
    })
    const forged = await makeDevice(fake, 'pump-1', now)
    for (const chain of [[forged], [forged, fake], [forged, fake, root], [forged, root]]) {
      const refusal = await refusalOf(enter('pump-1', ...chain))
      assert.match(refusal.rule, /^chain:(anchor-key-mismatch|signature-invalid)$/)
      assert.match(refusal.message, /key|sign/)
      assert.equal(refusal.code, 'unauthorized')
    }
  })

  test('is refused when a device certificate signed it', async () => {
    const issuer = { name: [{ CN: ['pump-1'] }], key: device.key }
    const forged = await forge({ subject: [{ CN: ['pump-2'] }], issuer, notBefore: now - DAY, notAfter: now + DAY })
    assert.equal((await refusalOf(enter('pump-2', forged, device, intermediate))).rule, 'chain:not-a-ca')
  })

  test('is refused with a swapped intermediate of the same name', async () => {
    const twin = await makeIntermediate(root, 'Acme Line 1', now)
    const refusal = await refusalOf(enter('pump-1', device, twin))
    assert.equal(refusal.rule, 'chain:signature-invalid')
  })

  test('is refused with a self-signed certificate of its own name', async () => {
    const self = await forge({ subject: [{ CN: ['pump-1'] }], notBefore: now - DAY, notAfter: now + DAY, ca: true })
    assert.match((await refusalOf(enter('pump-1', self))).rule, /^chain:/)
  })

  test('is judged as strictly as its hub asks', async () => {
    const issuer = { name: [{ CN: ['Acme Root'] }], key: root.key }
    const plain = await forge({ subject: [{ CN: ['a'] }], issuer, notBefore: now - DAY, notAfter: now + DAY })
    await enter('a', plain)
    const hubs = new Hubs([{ ...bench.hubs.home, profile: 'strict' }])
    const strict = new Door({ ...bench, hubs, provisioningHosts: [] })
    assert.equal((await refusalOf(strict.device(claimOf('a'), peerWith(plain)))).rule, 'chain:profile-violation')
    assert.equal((await strict.device(claimOf('pump-1'), peerWith(device, intermediate))).device.deviceId, 'pump-1')
  })

  test('is refused under a CA that was registered and not proven', async () => {
    const lazy = await makeRoot('Lazy Root', now)
    await bench.authorities.put(FACTORY, 'lazy', lazy.der, { expected: null })
    const refusal = await refusalOf(enter('pump-1', await makeDevice(lazy, 'pump-1', now)))
    assert.equal(refusal.rule, 'authority-unverified')
    assert.match(refusal.message, /'lazy'/)
    assert.match(refusal.remedy, /verification code/)
    await bench.authorities.generateVerificationCode(FACTORY, 'lazy', { kind: 'any' })
    assert.equal((await refusalOf(enter('pump-1', await makeDevice(lazy, 'pump-1', now)))).rule, 'authority-unverified')
    // One of the same name that is not even registered is not excused by it.
    const namesake = await makeRoot('Lazy Root', now)
    assert.match((await refusalOf(enter('pump-1', await makeDevice(namesake, 'pump-1', now)))).rule, /^chain:/)
  })

  test('is refused under a CA of another hub of this server', async () => {
    const foreign = await makeRoot('Lab Root', now)
    await registerCa(bench, 'lab-root', foreign, LAB)
    const refusal = await refusalOf(enter('pump-1', await makeDevice(foreign, 'pump-1', now)))
    assert.equal(refusal.rule, 'authority-of-another-hub')
    assert.match(refusal.message, /'lab'.*'factory'/)
  })

  test('is refused as soon as its CA is deleted, and let in as soon as one is proven', async () => {
    const brief = await makeRoot('Brief Root', now)
    const leaf = await makeDevice(brief, 'b', now)
    assert.match((await refusalOf(enter('b', leaf))).rule, /^chain:/)
    await registerCa(bench, 'brief', brief)
    await enter('b', leaf)
    await bench.authorities.delete(FACTORY, 'brief', { kind: 'any' })
    assert.match((await refusalOf(enter('b', leaf))).rule, /^chain:/)
  })

  test('is refused with a token, and when disabled, and when unknown', async () => {
    const token = 'SharedAccessSignature sr=a&sig=b&se=1'
    const both = bench.door.device(claimOf('pump-1', { token }), peerWith(device, intermediate))
    assert.equal((await refusalOf(both)).rule, 'credential-kind-mismatch')

    await bench.devices.update(
      FACTORY,
      {
        deviceId: 'pump-1',
        status: 'disabled',
        statusReason: 'lost',
        authentication: { type: 'certificateAuthority' },
      },
      { kind: 'any' },
    )
    const disabled = await refusalOf(enter('pump-1', device, intermediate))
    assert.equal(disabled.rule, 'device-disabled')
    assert.equal(disabled.code, 'device-disabled')
    assert.match(disabled.message, /lost/)
    await bench.devices.delete(FACTORY, parseDeviceId('pump-1'), { kind: 'any' })
    const unknown = await refusalOf(enter('pump-1', device, intermediate))
    assert.equal(unknown.rule, 'device-unknown')
    assert.equal(unknown.code, 'unauthorized')
  })

  test('is refused at an unknown host, with an impossible id, as a module', async () => {
    assert.equal((await attempt({ host: 'evil.example.com' })).rule, 'hub-name-unknown')
    assert.equal((await attempt({ host: 'localhost' })).rule, 'hub-name-unknown')
    const odd = await attempt({ deviceId: 'a/b\n' })
    assert.equal(odd.rule, 'device-id-invalid')
    assert.doesNotMatch(odd.identity, /\n/)
    assert.equal((await attempt({ deviceId: 'x'.repeat(100_000) })).rule, 'device-id-invalid')
    assert.equal((await attempt({ moduleId: 'm' })).rule, 'device-unknown')
  })

  test('gets a tracking id and no more; the operator finds the whole story', async () => {
    const refusal = await refusalOf(enter('pump-2', device, intermediate))
    assert.match(refusal.trackingId, /^[0-9a-f]{32}$/)
    assert.match(refusal.shown, new RegExp(refusal.trackingId))
    assert.doesNotMatch(refusal.shown, /pump|name/)
    const stored = await bench.refusals.get(refusal.trackingId)
    assert.equal(stored?.rule, 'common-name-mismatch')
    assert.equal(stored?.peer.address, '192.0.2.7')
    assert.equal(stored?.identity, 'pump-2')
    assert.deepEqual(
      stored?.chain.map(({ subject }) => subject),
      ['CN=pump-1', 'CN=Acme Line 1'],
    )
    assert.ok(stored?.remedy)
  })
})

suite('a device that is known by thumbprints', () => {
  let bench: Workbench
  let now: number
  let self: Made
  let spare: Made
  before(async () => {
    bench = await openWorkbench()
    now = bench.clock.now()
    self = await forge({ subject: [{ CN: ['localhost'] }], notBefore: now - DAY, notAfter: now + DAY })
    spare = await forge({ subject: [{ CN: ['localhost'] }], notBefore: now - DAY, notAfter: now + 2 * DAY })
  })
  beforeEach(() => {
    bench.clock.time = now
  })
  after(() => bench.close())

  const enter = (deviceId: string, ...chain: Made[]) => bench.door.device(claimOf(deviceId), peerWith(...chain))

  test('is let in by either thumbprint of either kind, whatever its name and issuer', async () => {
    const [first, second] = [parseCertificate(self.der), parseCertificate(spare.der)]
    const kinds = { one: [first.sha1.toUpperCase(), second.sha1], two: [first.sha256, second.sha256.toUpperCase()] }
    for (const [deviceId, [primaryThumbprint = '', secondaryThumbprint = '']] of Object.entries(kinds)) {
      const x509Thumbprint = { primaryThumbprint, secondaryThumbprint }
      await bench.devices.create(FACTORY, { deviceId, authentication: { x509Thumbprint } })
      const who = await enter(deviceId, self)
      assert.equal(who.expiresAt, first.notAfter)
      assert.deepEqual(who.path, [certificateId(first)])
      assert.equal((await enter(deviceId, spare)).expiresAt, second.notAfter)
    }
  })

  test('is refused with another certificate, even one that a registered CA signed for it', async () => {
    const root = await makeRoot('Acme Root', now)
    await registerCa(bench, 'acme', root)
    const refusal = await refusalOf(enter('two', await makeDevice(root, 'two', now)))
    assert.equal(refusal.rule, 'thumbprint-mismatch')
    assert.match(refusal.evidence['sha256'] ?? '', /^[0-9a-f]{64}$/)
  })

  test('is refused with no certificate, no thumbprint, out of its dates', async () => {
    assert.equal((await refusalOf(enter('two'))).rule, 'client-certificate-missing')
    await bench.devices.create(FACTORY, { deviceId: 'bare', authentication: { type: 'selfSigned' } })
    assert.equal((await refusalOf(enter('bare', self))).rule, 'thumbprint-mismatch')
    bench.clock.time = now + 1.5 * DAY
    assert.equal((await refusalOf(enter('two', self))).rule, 'certificate-expired')
    bench.clock.time = now - 2 * DAY
    assert.equal((await refusalOf(enter('two', self))).rule, 'certificate-not-yet-valid')
  })
})
