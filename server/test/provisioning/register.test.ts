import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { certificateId, parseCertificate } from '@holdfast/pki'
import { HubError } from '../../src/errors.ts'
import type { Hint } from '../../src/ports/bus.ts'
import { registrationResultJson } from '../../src/provisioning/wire-registration.ts'
import type { Authority, Provisioning } from './fixture.ts'
import {
  assertAssigned,
  assertRefused,
  derivedKey,
  EAST,
  makeIntermediate,
  makeLeaf,
  makeRoot,
  NOW,
  openProvisioning,
  tokenFor,
  WEST,
} from './fixture.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')
const INITIAL_TWIN = { tags: { site: 'north' }, properties: { desired: { rate: 5 } } }
const NO_FORCE = { force: false }

const keyed = (id: string) => ({ token: tokenFor(id, derivedKey(KEY, id)) })

const keyGroup = (enrollmentGroupId: string, more: object = {}) => ({
  enrollmentGroupId,
  attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } },
  initialTwin: INITIAL_TWIN,
  ...more,
})

describe('a registration by certificate', () => {
  let house: Provisioning
  let root: Authority
  let line: Authority
  before(async () => {
    house = await openProvisioning()
    root = await makeRoot('Root')
    line = await makeIntermediate(root, 'Line')
    await house.registerAuthority('root', root)
    const attestation = { type: 'x509', x509: { caReferences: { primary: 'root' } } }
    const iotHubs = ['EAST.example:8883']
    await house.enrollments.putGroup(
      { enrollmentGroupId: 'group', attestation, initialTwin: INITIAL_TWIN, iotHubs },
      null,
    )
  })
  after(() => house.close())

  test('makes the device at the hub, bound to the very certificate and to the path that proved it', async () => {
    const leaf = await makeLeaf(line, 'Dev-1')
    const registration = assertAssigned(await house.register('Dev-1', { chain: [leaf, line.der] }))
    assert.equal(registration.assignedHost, 'east.example')
    assert.equal(registration.deviceId, 'Dev-1')
    assert.equal(registration.substatus, 'initialAssignment')
    const device = await house.device(EAST, 'Dev-1')
    assert.ok(device)
    assert.equal(device.status, 'enabled')
    assert.deepEqual(device.authentication, {
      type: 'selfSigned',
      primaryThumbprint: createHash('sha256').update(leaf).digest('hex').toUpperCase(),
      secondaryThumbprint: null,
    })
    assert.deepEqual(device.provenance, {
      enrollment: { kind: 'group', id: 'group' },
      path: [leaf, line.der, root.der].map((der) => certificateId(parseCertificate(der))),
    })
    assert.deepEqual(device.twin.tags, { site: 'north' })
    assert.deepEqual(device.twin.desired, { values: { rate: 5 }, version: 1, lastUpdated: NOW })
  })

  test('repeated changes nothing, in whatever case the id is spelled', async () => {
    const chain = [await makeLeaf(line, 'dev-2'), line.der]
    const first = await house.register('dev-2', { chain })
    const device = await house.device(EAST, 'dev-2')
    house.clock.time = NOW + 1
    const again = await house.register('dev-2', { chain })
    assert.deepEqual(registrationResultJson(again), registrationResultJson(first))
    const spelled = assertAssigned(await house.register('DEV-2', { chain }))
    assert.equal(spelled.presentedId, 'DEV-2')
    assert.equal(spelled.deviceId, 'dev-2')
    assert.deepEqual(await house.device(EAST, 'dev-2'), device)

    const who = await house.authenticate('dev-2', { chain })
    const forced = await house.registrar.register(who, {}, { force: true })
    assert.notEqual(forced.operationId, first.operationId)
    assert.equal(assertAssigned(forced).created, NOW)
    const polled = await house.registrar.status(who, forced.operationId)
    assert.deepEqual(registrationResultJson(polled), registrationResultJson(forced))
    assert.equal((await house.registrar.lookup(who)).operationId, forced.operationId)
    await assert.rejects(house.registrar.status(who, first.operationId), { code: 'operation-not-found' })
    house.clock.time = NOW
  })

  test('with a new certificate renews the thumbprint and tells the sessions', async () => {
    await house.register('dev-3', { chain: [await makeLeaf(line, 'dev-3'), line.der] })
    const before = await house.device(EAST, 'dev-3')
    const hints: Hint[] = []
    const stop = house.bus.subscribe((hint) => hints.push(hint))
    const leaf = await makeLeaf(line, 'dev-3')
    await house.register('dev-3', { chain: [leaf, line.der] })
    stop()
    const after = await house.device(EAST, 'dev-3')
    assert.ok(before && after)
    assert.equal(after.generationId, before.generationId)
    assert.notEqual(after.etag, before.etag)
    assert.equal(
      after.authentication.type === 'selfSigned' && after.authentication.primaryThumbprint,
      parseCertificate(leaf).sha256.toUpperCase(),
    )
    assert.deepEqual(hints, [{ kind: 'device-changed', hub: EAST, deviceId: 'dev-3', change: 'updated' }])
  })

  test('leaves a device disabled that an operator has disabled', async () => {
    const chain = [await makeLeaf(line, 'dev-4'), line.der]
    await house.register('dev-4', { chain })
    const device = await house.device(EAST, 'dev-4')
    assert.ok(device)
    await house.registry.devices.replace({ ...device, status: 'disabled' }, { kind: 'any' })
    await house.register('dev-4', { chain: [await makeLeaf(line, 'dev-4'), line.der] })
    assert.equal((await house.device(EAST, 'dev-4'))?.status, 'disabled')
  })

  test('many times at once ends in one device and one outcome', async () => {
    const chain = [await makeLeaf(line, 'dev-5'), line.der]
    const results = await Promise.all(Array.from({ length: 20 }, () => house.register('dev-5', { chain })))
    const stored = await house.enrollments.getRegistration('dev-5')
    const device = await house.device(EAST, 'dev-5')
    for (const result of results) assert.equal(assertAssigned(result).deviceId, 'dev-5')
    assert.equal(stored.status, 'assigned')
    assert.ok(device)
  })

  test('by an individual enrollment gives the device the id that it names', async () => {
    const self = await makeRoot('reg-6')
    const x509 = { clientCertificates: { primary: { certificate: self.pem } } }
    const draft = {
      registrationId: 'reg-6',
      deviceId: 'Pump-6',
      attestation: { type: 'x509', x509 },
      capabilities: { iotEdge: true },
    }
    await house.enrollments.putIndividual({ ...draft, allocationPolicy: 'static', iotHubs: ['west.example'] }, null)
    const registration = assertAssigned(await house.register('reg-6', { chain: [self.der] }))
    assert.equal(registration.deviceId, 'Pump-6')
    const device = await house.device(WEST, 'Pump-6')
    assert.deepEqual(device?.provenance, {
      enrollment: { kind: 'individual', id: 'reg-6' },
      path: [certificateId(parseCertificate(self.der))],
    })
    assert.equal(device?.capabilities.iotEdge, true)
    await house.enrollments.deleteIndividual('reg-6', null)
    await assert.rejects(house.enrollments.getRegistration('reg-6'), { code: 'registration-not-found' })
    assert.ok(await house.device(WEST, 'Pump-6'), 'the device of the hub outlives its enrollment')
  })

  test('does not let a group seize a device that an operator made, or that another group owns', async () => {
    const made = await house.device(EAST, 'dev-4')
    assert.ok(made)
    await house.registry.devices.create({ ...made, deviceId: 'own-1' as typeof made.deviceId, provenance: null })
    const chain = [await makeLeaf(line, 'own-1'), line.der]
    await assertRefused(house.register('own-1', { chain }), 'attestation-mismatch', 'device-already-exists')
    await assert.rejects(house.enrollments.getRegistration('own-1'), { code: 'registration-not-found' })

    const rival = await makeRoot('Rival')
    await house.registerAuthority('rival', rival)
    const attestation = { type: 'x509', x509: { caReferences: { primary: 'rival' } } }
    await house.enrollments.putGroup({ enrollmentGroupId: 'rival', attestation, iotHubs: ['west.example'] }, null)
    const before = [await house.device(EAST, 'Dev-1'), await house.enrollments.getRegistration('dev-1')]
    await assertRefused(
      house.register('dev-1', { chain: [await makeLeaf(rival, 'dev-1')] }),
      'attestation-mismatch',
      'device-already-exists',
    )
    assert.deepEqual([await house.device(EAST, 'Dev-1'), await house.enrollments.getRegistration('dev-1')], before)
  })
})

describe('a registration on a connection that stays open', () => {
  let house: Provisioning
  before(async () => {
    house = await openProvisioning()
    await house.enrollments.putGroup(keyGroup('keys'), null)
  })
  after(() => house.close())

  test('is judged anew when the enrollment was disabled, changed or deleted since', async () => {
    const who = await house.authenticate('dev-1', keyed('dev-1'))
    await house.enrollments.putGroup(keyGroup('keys', { provisioningStatus: 'disabled' }), { kind: 'any' })
    await assertRefused(house.registrar.register(who, {}, NO_FORCE), 'enrollment-disabled', 'enrollment-disabled')
    await house.enrollments.putGroup(keyGroup('keys', { iotHubs: ['west.example'] }), { kind: 'any' })
    assert.equal(assertAssigned(await house.registrar.register(who, {}, NO_FORCE)).assignedHub, WEST)
    await house.enrollments.putIndividual({ registrationId: 'dev-1', attestation: { type: 'symmetricKey' } }, null)
    await assertRefused(house.registrar.register(who, {}, NO_FORCE), 'token-signature-wrong')
    await house.enrollments.deleteIndividual('dev-1', null)
    await house.enrollments.deleteGroup('keys', null)
    await assertRefused(house.registrar.register(who, {}, NO_FORCE), 'enrollment-unknown')
  })

  test('ends with the token that it was opened with', async () => {
    await house.enrollments.putGroup(keyGroup('keys'), null)
    const key = derivedKey(KEY, 'dev-2')
    const who = await house.authenticate('dev-2', { token: tokenFor('dev-2', key, { expires: NOW + 2_000 }) })
    await house.registrar.register(who, {}, NO_FORCE)
    house.clock.time = NOW + 2_000
    await assertRefused(house.registrar.lookup(who), 'token-expired')
    house.clock.time = NOW
  })

  test('is not confused with one that no door has opened', async () => {
    const who = await house.authenticate('dev-2', keyed('dev-2'))
    const forged = Object.assign(Object.create(null), who, {
      enrollment: { ...who.enrollment, etag: 'x' },
    }) as typeof who
    await assert.rejects(house.registrar.register(forged, {}, NO_FORCE), TypeError)
  })
})

describe('reprovisioning between hubs', () => {
  let house: Provisioning
  before(async () => {
    house = await openProvisioning()
  })
  after(() => house.close())

  /** Registers at east, lets the device report, and registers again once the group points west. */
  async function move(id: string, reprovisionPolicy: object) {
    const group = (hub: string) => keyGroup(id, { reprovisionPolicy, iotHubs: [`${hub}.example`] })
    await house.enrollments.putGroup(group('east'), null)
    const first = assertAssigned(await house.register(id, keyed(id)))
    const device = await house.device(EAST, id)
    assert.ok(device)
    const reported = { values: { seen: true }, version: 2, lastUpdated: NOW }
    await house.registry.devices.replace({ ...device, twin: { ...device.twin, reported } }, { kind: 'any' })
    const same = assertAssigned(await house.register(id, keyed(id)))
    const there = await house.device(EAST, id)
    await house.enrollments.putGroup(group('west'), { kind: 'any' })
    const second = assertAssigned(await house.register(id, keyed(id)))
    const [east, west] = [await house.device(EAST, id), await house.device(WEST, id)]
    await house.enrollments.deleteGroup(id, null)
    return { device, first, same, there, second, east, west }
  }

  test('takes the twin along and leaves nothing behind', async () => {
    const { device, first, same, there, second, east, west } = await move('mover', {})
    assert.equal(same.substatus, 'initialAssignment')
    assert.deepEqual(there?.twin.reported.values, { seen: true })
    assert.equal(second.substatus, 'deviceDataMigrated')
    assert.equal(second.generationId, first.generationId)
    assert.equal(east, null)
    assert.deepEqual(west?.twin.reported.values, { seen: true })
    assert.deepEqual(west?.authentication, device.authentication)
    assert.equal(west?.hub, WEST)
  })

  test('starts again with the initial twin, also at the same hub', async () => {
    const { same, there, second, east, west } = await move('resetter', {
      updateHubAssignment: true,
      migrateDeviceData: false,
    })
    assert.equal(same.substatus, 'deviceDataReset')
    assert.deepEqual(there?.twin.reported.values, {})
    assert.equal(second.substatus, 'deviceDataReset')
    assert.equal(east, null)
    assert.deepEqual(west?.twin.reported.values, {})
    assert.deepEqual(west?.twin.desired.values, { rate: 5 })
  })

  test('stays where it was first when the policy never reassigns', async () => {
    const policy = { updateHubAssignment: false, migrateDeviceData: false }
    const { second, east, west } = await move('stayer', policy)
    assert.equal(second.assignedHub, EAST)
    assert.deepEqual(east?.twin.reported.values, { seen: true })
    assert.equal(west, null)

    await house.enrollments.putGroup(keyGroup('stayer', { reprovisionPolicy: policy, iotHubs: ['west.example'] }), null)
    assert.ok(east)
    await house.registry.devices.delete(EAST, east.deviceId, { kind: 'any' })
    const again = assertAssigned(await house.register('stayer', keyed('stayer')))
    assert.equal(again.substatus, 'reprovisionedToInitialAssignment')
    assert.deepEqual((await house.device(EAST, 'stayer'))?.twin.reported.values, {})
  })

  test('carries the block of a disabled device to the other hub', async () => {
    await house.enrollments.putGroup(keyGroup('blocked', { iotHubs: ['east.example'] }), null)
    await house.register('blocked', keyed('blocked'))
    const device = await house.device(EAST, 'blocked')
    assert.ok(device)
    await house.registry.devices.replace({ ...device, status: 'disabled', statusReason: 'lost' }, { kind: 'any' })
    await house.enrollments.putGroup(keyGroup('blocked', { iotHubs: ['west.example'] }), { kind: 'any' })
    await house.register('blocked', keyed('blocked'))
    const moved = await house.device(WEST, 'blocked')
    assert.deepEqual([moved?.status, moved?.statusReason], ['disabled', 'lost'])
    await house.enrollments.deleteGroup('blocked', null)
  })

  test('fails in words when the enrollment names no hub of this server, and forgets no assignment', async () => {
    await house.enrollments.putGroup(keyGroup('lost', { iotHubs: ['east.example'] }), null)
    await house.register('lost', keyed('lost'))
    await house.enrollments.putGroup(keyGroup('lost', { iotHubs: ['gone.example'] }), { kind: 'any' })
    const result = await house.register('lost', keyed('lost'))
    assert.equal(result.status, 'failed')
    assert.equal(result.registration?.error?.code, 400209)
    const trackingId = /[0-9a-f]{32}/.exec(result.registration?.error?.message ?? '')?.[0]
    const refusals = await house.refusals.list({ limit: 10 })
    assert.ok(refusals.some((refusal) => refusal.trackingId === trackingId && refusal.rule === 'allocation-failed'))
    await house.enrollments.putGroup(keyGroup('lost', { iotHubs: ['west.example'] }), { kind: 'any' })
    assert.equal(assertAssigned(await house.register('lost', keyed('lost'))).substatus, 'deviceDataMigrated')
    assert.equal(await house.device(EAST, 'lost'), null)
    const page = await house.enrollments.listRegistrations('lost', { after: null, limit: 10 })
    assert.deepEqual(
      page.items.map(({ registrationId }) => registrationId),
      ['lost'],
    )
  })

  test('of a record that an operator deleted begins anew with the device that is there', async () => {
    await house.enrollments.putGroup(keyGroup('again', { iotHubs: ['east.example'] }), null)
    const first = assertAssigned(await house.register('again', keyed('again')))
    await assert.rejects(house.enrollments.deleteRegistration('again', { kind: 'exactly', etag: 'x' }), {
      code: 'precondition-failed',
    })
    await house.enrollments.deleteRegistration('again', { kind: 'exactly', etag: first.etag })
    const second = assertAssigned(await house.register('again', keyed('again')))
    assert.notEqual(second.generationId, first.generationId)
    assert.equal(second.substatus, 'initialAssignment')
  })
})

test('a registration that was overtaken is decided again', async () => {
  const house = await openProvisioning()
  await house.enrollments.putGroup(keyGroup('keys', { iotHubs: ['east.example'] }), null)
  const who = await house.authenticate('dev-1', keyed('dev-1'))
  const { registrations } = house.registry
  const complete = registrations.complete.bind(registrations)
  let overtaken = 0
  registrations.complete = async (completion) => {
    if (overtaken++ === 0) await complete(completion)
    return complete(completion)
  }
  assertAssigned(await house.registrar.register(who, {}, NO_FORCE))
  registrations.complete = async () => 'conflict'
  const again = house.registrar.register(who, {}, { force: true })
  await assert.rejects(
    again,
    (error) => error instanceof HubError && error.code === 'throttled' && error.retryAfter === 1,
  )
  await house.close()
})
