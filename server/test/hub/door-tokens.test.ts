import assert from 'node:assert/strict'
import { after, before, beforeEach, suite, test } from 'node:test'
import type { Peer } from '../../src/model/peer.ts'
import type { HubRight, PolicyOwner } from '../../src/model/access-policy.ts'
import { DAY, forge } from './certificates.ts'
import { claimOf, FACTORY, HOST, LAB, openWorkbench, peerWith, refusalOf, sasToken } from './workbench.ts'
import type { TokenFields, Workbench } from './workbench.ts'

const HUB: PolicyOwner = { kind: 'hub', hub: FACTORY }
const https: Peer = { ...peerWith(), protocol: 'https' }

suite('a device that is known by a key', () => {
  let bench: Workbench
  let now: number
  let keys: { primaryKey: string; secondaryKey: string }
  before(async () => {
    bench = await openWorkbench()
    now = bench.clock.now()
    const { authentication } = await bench.devices.create(FACTORY, { deviceId: 'Meter#1' })
    assert(authentication.type === 'sas')
    keys = authentication
    await bench.devices.create(FACTORY, { deviceId: 'other' })
    await bench.devices.create(FACTORY, { deviceId: 'by-ca', authentication: { type: 'certificateAuthority' } })
  })
  beforeEach(() => {
    bench.clock.time = now
  })
  after(() => bench.close())

  const soon = () => now / 1000 + 60
  const token = (fields: Partial<TokenFields> = {}) =>
    sasToken({ sr: encodeURIComponent(`${HOST}/devices/Meter#1`), key: keys.primaryKey, se: soon(), ...fields })
  const enter = (text: string | null, deviceId = 'Meter#1') =>
    bench.door.device(claimOf(deviceId, { token: text }), peerWith())
  const policyKey = async (name: string) => (await bench.registry.policies.get(HUB, name))!.primaryKey

  test('is let in by its primary or secondary key, however the host is spelt', async () => {
    for (const key of [keys.primaryKey, keys.secondaryKey]) {
      for (const host of [HOST, HOST.toUpperCase(), 'plant.example.com', `${HOST}:8883`]) {
        const who = await enter(token({ key, sr: encodeURIComponent(`${host}/devices/Meter#1`) }))
        assert.equal(who.expiresAt, soon() * 1000)
        assert.deepEqual(who.path, [])
        assert.deepEqual(JSON.parse(who.authMethod), {
          scope: 'device',
          type: 'sas',
          issuer: 'iothub',
          acceptingIpFilterRule: null,
        })
      }
    }
  })

  test('is let in by a doubly encoded id, as some clients send it', async () => {
    await enter(token({ sr: encodeURIComponent(`${HOST}/devices/${encodeURIComponent('Meter#1')}`) }))
  })

  test('is let in by a hub policy that may connect devices, for the hub or the device', async () => {
    const key = await policyKey('device')
    for (const path of ['', '/devices', '/devices/Meter%231']) {
      const who = await enter(token({ key, skn: 'device', sr: encodeURIComponent(`${HOST}${path}`) }))
      assert.equal(JSON.parse(who.authMethod).scope, 'hub')
    }
  })

  test('cannot be made up by anyone but the door', async () => {
    const who = await enter(token())
    const { constructor } = Object.getPrototypeOf(who) as { constructor: new (...facts: unknown[]) => unknown }
    assert.throws(() => new constructor(Symbol('authenticated'), who), TypeError)
  })

  test('is refused on the second its token ends', async () => {
    bench.clock.time = soon() * 1000 - 1
    await enter(token())
    bench.clock.time = soon() * 1000
    assert.equal((await refusalOf(enter(token()))).rule, 'token-expired')
  })

  test('is refused by each rule of tokens', async () => {
    const stranger = Buffer.alloc(32, 9).toString('base64')
    const service = await policyKey('service')
    const cases: [string, string][] = [
      ['garbage', 'token-malformed'],
      [token({ key: stranger }), 'token-signature-wrong'],
      [token({ rule: 'event-hubs' }), 'token-signature-wrong'],
      [token({ sr: encodeURIComponent(`${HOST}/devices/meter#1`) }), 'token-resource-mismatch'],
      [token({ sr: encodeURIComponent(`${HOST}/devices/other`) }), 'token-resource-mismatch'],
      [token({ sr: encodeURIComponent(`lab.example.com/devices/Meter#1`) }), 'token-resource-mismatch'],
      [token({ sr: encodeURIComponent(`evil.example.com/devices/Meter#1`) }), 'token-resource-mismatch'],
      [token({ skn: 'nobody' }), 'token-policy-unknown'],
      [token({ skn: 'device' }), 'token-signature-wrong'],
      [token({ key: service, skn: 'service' }), 'token-right-missing'],
    ]
    for (const [text, rule] of cases) {
      const refusal = await refusalOf(enter(text))
      assert.equal(refusal.rule, rule)
      assert.equal(refusal.code, 'unauthorized')
      for (const key of [keys.primaryKey, service]) assert.ok(!JSON.stringify(refusal).includes(key))
    }
    assert.equal((await refusalOf(enter(null))).rule, 'credential-missing')
    assert.equal((await refusalOf(enter(''))).rule, 'credential-missing')
  })

  test('is refused with the token of another, or with a certificate', async () => {
    assert.equal((await refusalOf(enter(token(), 'other'))).rule, 'token-signature-wrong')
    assert.equal((await refusalOf(enter(token(), 'by-ca'))).rule, 'credential-kind-mismatch')
    assert.equal((await refusalOf(enter(token(), 'ghost'))).rule, 'device-unknown')
    const certificate = await forge({ subject: [{ CN: ['Meter#1'] }], notBefore: now - DAY, notAfter: now + DAY })
    const attempt = bench.door.device(claimOf('Meter#1'), peerWith(certificate))
    assert.equal((await refusalOf(attempt)).rule, 'credential-kind-mismatch')
  })

  test('is refused with its own keys at another hub', async () => {
    const attempt = bench.door.device(claimOf('Meter#1', { host: 'lab.example.com', token: token() }), peerWith())
    assert.equal((await refusalOf(attempt)).rule, 'device-unknown')
    await bench.devices.create(LAB, { deviceId: 'Meter#1' })
    const again = bench.door.device(claimOf('Meter#1', { host: 'lab.example.com', token: token() }), peerWith())
    assert.equal((await refusalOf(again)).rule, 'token-signature-wrong')
  })

  test('changes its credential when its keys change, and not when its twin or status does', async () => {
    const before = await enter(token())
    const symmetricKey = { ...keys }
    const kept = await bench.devices.update(
      FACTORY,
      { deviceId: 'Meter#1', authentication: { symmetricKey } },
      { kind: 'any' },
    )
    assert.notEqual(kept.etag, before.device.etag)
    assert.equal((await enter(token())).credential, before.credential)
    await bench.devices.update(FACTORY, { deviceId: 'Meter#1' }, { kind: 'any' })
    assert.equal((await refusalOf(enter(token()))).rule, 'token-signature-wrong')
  })
})

suite('a service', () => {
  let bench: Workbench
  let now: number
  before(async () => {
    bench = await openWorkbench()
    now = bench.clock.now()
  })
  after(() => bench.close())

  const keyOf = async (name: string, owner: PolicyOwner = HUB) => (await bench.registry.policies.get(owner, name))!
  const token = async (name: string, more: Partial<TokenFields> = {}) =>
    sasToken({ sr: HOST, key: (await keyOf(name)).primaryKey, se: now / 1000 + 60, skn: name, ...more })

  const enter = (text: string | null, host = HOST) => bench.door.service(host, text, 'RegistryRead', https)

  test('may do what its policy says, and nothing else', async () => {
    const allowed: Record<string, HubRight[]> = {
      iothubowner: ['RegistryRead', 'RegistryWrite', 'ServiceConnect', 'DeviceConnect'],
      service: ['ServiceConnect'],
      device: ['DeviceConnect'],
      registryRead: ['RegistryRead'],
      registryReadWrite: ['RegistryRead', 'RegistryWrite'],
    }
    for (const [name, rights] of Object.entries(allowed)) {
      const text = await token(name)
      for (const right of ['RegistryRead', 'RegistryWrite', 'ServiceConnect', 'DeviceConnect'] as const) {
        const attempt = bench.door.service(HOST, text, right, https)
        if (rights.includes(right)) assert.equal((await attempt).policy, name)
        else assert.equal((await refusalOf(attempt)).rule, 'token-right-missing')
      }
    }
  })

  test('is let in by the secondary key, an encoded sr and a resource it covers', async () => {
    const { secondaryKey } = await keyOf('service')
    const sr = encodeURIComponent(`${HOST}/devices/d1`).toLowerCase()
    const text = await token('service', { key: secondaryKey, sr })
    const who = await bench.door.service(`${HOST}:443`, text, 'ServiceConnect', https, 'devices/d1')
    assert.deepEqual(who.owner, HUB)
    assert.ok(who.covers('devices/d1/methods'))
    assert.ok(!who.covers('devices/d12'))
    for (const resource of ['devices/d12', 'devices', undefined]) {
      const attempt = bench.door.service(HOST, text, 'ServiceConnect', https, resource)
      assert.equal((await refusalOf(attempt)).rule, 'token-resource-mismatch')
    }
  })

  test('is refused without a token, with a stranger’s, at another hub, at no hub', async () => {
    const good = await token('iothubowner')
    const cases: [Promise<unknown>, string, string][] = [
      [enter(null), 'token-missing', 'unauthorized'],
      [enter('Bearer abc'), 'token-malformed', 'unauthorized'],
      [enter(await token('iothubowner', { skn: 'ghost' })), 'token-policy-unknown', 'unauthorized'],
      [enter(good.replace('&skn=iothubowner', '')), 'token-policy-unknown', 'unauthorized'],
      [enter(await token('iothubowner', { se: now / 1000 })), 'token-expired', 'unauthorized'],
      [enter(await token('iothubowner', { rule: 'event-hubs' })), 'token-signature-wrong', 'unauthorized'],
      [enter(good, 'lab.example.com'), 'token-signature-wrong', 'unauthorized'],
      [enter(await token('iothubowner', { sr: 'lab.example.com' })), 'token-resource-mismatch', 'unauthorized'],
      [enter(good, 'nowhere.example.com'), 'hub-name-unknown', 'hub-not-found'],
    ]
    for (const [attempt, rule, code] of cases) {
      const refusal = await refusalOf(attempt)
      assert.equal(refusal.rule, rule)
      assert.equal(refusal.code, code)
    }
  })

  test('of the provisioning service has policies of its own', async () => {
    const owner: PolicyOwner = { kind: 'provisioning' }
    const { primaryKey: key } = await keyOf('provisioningserviceowner', owner)
    const text = (sr: string) => sasToken({ sr, key, se: now / 1000 + 60, skn: 'provisioningserviceowner' })
    const who = await bench.door.provisioningService(text('dps.example.com'), 'EnrollmentWrite', https)
    assert.deepEqual(who.owner, owner)
    const elsewhere = bench.door.provisioningService(text(HOST), 'EnrollmentWrite', https)
    assert.equal((await refusalOf(elsewhere)).rule, 'token-resource-mismatch')
    const ofHub = bench.door.provisioningService(await token('iothubowner'), 'EnrollmentRead', https)
    assert.equal((await refusalOf(ofHub)).rule, 'token-policy-unknown')
  })

  test('reads events by the Event Hubs rule or the hub’s own', async () => {
    const audience = `sb://${HOST}:5671/factory/ConsumerGroups/$default/Partitions/0`
    const sr = encodeURIComponent(audience)
    for (const rule of ['iot', 'event-hubs'] as const) {
      const who = await bench.door.eventReader(FACTORY, await token('service', { sr, rule }), audience, https)
      assert.equal(who.expiresAt, now + 60_000)
      assert.ok(who.covers('factory/ConsumerGroups/$Default/Partitions/0'))
      assert.ok(!who.covers('factory/ConsumerGroups/$Default/Partitions/1'))
    }
    const wide = await token('service', { sr: encodeURIComponent(`sb://${HOST}/factory`), rule: 'event-hubs' })
    await bench.door.eventReader(FACTORY, wide, audience, https)
    const read = async (name: string, more: Partial<TokenFields>, hub = FACTORY) =>
      (
        await refusalOf(
          bench.door.eventReader(hub, await token(name, { sr, rule: 'event-hubs', ...more }), audience, https),
        )
      ).rule
    assert.equal(await read('registryRead', {}), 'token-right-missing')
    assert.equal(await read('service', { sr: encodeURIComponent(`sb://${HOST}/other`) }), 'token-resource-mismatch')
    assert.equal(
      await read('service', { sr: encodeURIComponent(`sb://lab.example.com/factory`) }),
      'token-resource-mismatch',
    )
    assert.equal(await read('service', {}, LAB), 'token-signature-wrong')
  })
})
