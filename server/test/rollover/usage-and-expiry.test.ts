import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { AuthorityUsage } from '../../src/hub/authorities/authority-usage.ts'
import { ExpiryWatch } from '../../src/hub/authorities/expiry-watch.ts'
import { createLog } from '../../src/log.ts'
import type { Log } from '../../src/log.ts'
import { Enrollments } from '../../src/provisioning/enrollments.ts'
import { encodePem, issueIntermediate, issuerOf, keySigner, parseCertificate, spkiOf } from '@holdfast/pki'
import { randomBytes } from 'node:crypto'
import { DAY, makeDevice, makeIntermediate, makeRoot } from '../hub/certificates.ts'
import type { Made } from '../hub/certificates.ts'
import { EAST, makeLeaf, makeRoot as makeServiceRoot, openProvisioning, WEST } from '../provisioning/fixture.ts'
import { claimOf, FACTORY, LAB, openWorkbench, peerWith, registerCa } from '../hub/workbench.ts'
import type { Workbench } from '../hub/workbench.ts'

const FIRST = { after: null, limit: 100 }
const BY_CA = { authentication: { type: 'certificateAuthority' } } as const

describe('who rests on which CA', () => {
  let bench: Workbench
  let usage: AuthorityUsage
  let now: number
  let root: Made
  let line: Made

  before(async () => {
    bench = await openWorkbench()
    now = bench.clock.now()
    usage = new AuthorityUsage({ registry: bench.registry, hubs: bench.hubs, known: bench.revocations.known })
    root = await makeRoot('Acme Root', now, 365)
    line = await makeIntermediate(root, 'Acme Line 7', now)
    await registerCa(bench, 'acme', root)
    await registerCa(bench, 'idle', await makeRoot('Idle Root', now))
    for (const deviceId of ['a', 'b', 'c']) await bench.devices.create(FACTORY, { deviceId, ...BY_CA })
    await bench.door.device(claimOf('a'), peerWith(await makeDevice(line, 'a', now), line))
    await bench.door.device(claimOf('b'), peerWith(await makeDevice(root, 'b', now)))
  })
  after(() => bench.close())

  const under = async (wanted: string) =>
    (await usage.devices(FACTORY, wanted, FIRST)).devices.map(({ deviceId }) => deviceId)
  const counts = async (hub = FACTORY) =>
    (await usage.list(hub)).map(({ kind, name, subject, devices }) => [kind, name ?? subject, devices])

  test('is told for registered CAs and for the intermediates below them', async () => {
    assert.deepEqual(await counts(), [
      ['registered', 'acme', 2],
      ['registered', 'idle', 0],
      ['intermediate', 'CN=Acme Line 7', 1],
    ])
    const [acme, idle] = await usage.list(FACTORY)
    assert.equal(acme?.lastSeen, now)
    assert.equal(acme.notAfter, parseCertificate(root.der).notAfter)
    assert.equal(idle?.lastSeen, null)
    assert.deepEqual(await counts(LAB), [])
  })

  test('lists the devices of one, found by name, digest or subject', async () => {
    assert.deepEqual(await under('acme'), ['a', 'b'])
    assert.deepEqual(await under('Line 7'), ['a'])
    assert.deepEqual(await under(parseCertificate(line.der).sha256.toUpperCase()), ['a'])
    assert.deepEqual(await under('idle'), [])
    await assert.rejects(
      under('nobody'),
      /'nobody' is no CA that is registered or was seen at hub 'factory': acme, idle/,
    )
    await assert.rejects(under('Acme'), /means several CAs/)
  })

  test('a refused device is no user', async () => {
    await assert.rejects(bench.door.device(claimOf('c'), peerWith(await makeDevice(line, 'b', now), line)))
    assert.deepEqual((await counts())[2], ['intermediate', 'CN=Acme Line 7', 1])
  })

  test('another hub keeps its own', async () => {
    const lab = await makeRoot('Lab Root', now)
    await registerCa(bench, 'lab', lab, LAB)
    await bench.devices.create(LAB, { deviceId: 'x', ...BY_CA })
    const claim = claimOf('x', { host: 'lab.example.com' })
    await bench.door.device(claim, peerWith(await makeDevice(lab, 'x', now)))
    assert.deepEqual(await counts(LAB), [['registered', 'lab', 1]])
    assert.equal((await counts()).length, 3, 'the home hub does not tell of it')
  })

  test('certificates of one name and key count as one CA', async () => {
    const issuer = issuerOf(parseCertificate(root.der), keySigner(root.key))
    const term = { now, lifetime: 20 * DAY }
    const profile = { subject: { commonName: 'Acme Line 7' }, spki: spkiOf(line.key), term }
    const renewed = { der: await issueIntermediate(issuer, profile, randomBytes), key: line.key }
    await bench.door.device(claimOf('c'), peerWith(await makeDevice(renewed, 'c', now), renewed))
    assert.deepEqual((await counts())[2], ['intermediate', 'CN=Acme Line 7', 2])
    assert.deepEqual(
      (await usage.devices(FACTORY, 'Line 7', FIRST)).devices.map(({ deviceId }) => deviceId),
      ['a', 'c'],
    )
  })
})

test('the register of the home hub also counts devices that registration put into other hubs', async (t) => {
  const house = await openProvisioning()
  t.after(() => house.close())
  const root = await makeServiceRoot('Root')
  await house.registerAuthority('root', root)
  const attestation = { type: 'x509', x509: { caReferences: { primary: 'root' } } }
  await house.enrollments.putGroup({ enrollmentGroupId: 'all', attestation, iotHubs: ['west.example'] }, null)
  await house.register('dev-1', { chain: [await makeLeaf(root, 'dev-1')] })
  const { registry, hubs, trust } = house
  const usage = new AuthorityUsage({ registry, hubs, known: trust.revocations.known })
  assert.deepEqual(
    (await usage.list(EAST)).map(({ name, devices }) => [name, devices]),
    [['root', 1]],
  )
  const { devices } = await usage.devices(EAST, 'root', FIRST)
  assert.deepEqual(
    devices.map(({ hub, deviceId, by, authoritySubjects }) => [hub, deviceId, by, authoritySubjects]),
    [[WEST, 'dev-1', 'registration', ['CN=Root']]],
  )
})

describe('what expires', () => {
  let bench: Workbench
  let watch: ExpiryWatch
  let now: number
  const lines: { readonly level: string; readonly facts: object; readonly text: string }[] = []

  const note = (level: string) => (facts: object, text: string) => void lines.push({ level, facts, text })

  before(async () => {
    bench = await openWorkbench()
    now = bench.clock.now()
    const { registry, hubs, revocations, clock, metrics, random, bus } = bench
    const usage = new AuthorityUsage({ registry, hubs, known: revocations.known })
    const own = await makeRoot('This server', now, 200)
    const server = () => [encodePem('CERTIFICATE', own.der)]
    // The log is the one thing whose words are looked at here.
    const log = { ...createLog({ level: 'silent' }), warn: note('warn'), error: note('error') } as unknown as Log
    watch = new ExpiryWatch({ registry, hubs, usage, server, clock, metrics, log })
    const root = await makeRoot('Acme Root', now, 365)
    const line = await makeIntermediate(root, 'Acme Line 7', now)
    await registerCa(bench, 'acme', root)
    await registerCa(bench, 'lab', await makeRoot('Lab Root', now, 90), LAB)
    for (const deviceId of ['a', 'b']) await bench.devices.create(FACTORY, { deviceId, ...BY_CA })
    await bench.door.device(claimOf('a'), peerWith(await makeDevice(line, 'a', now, 3), line))
    await bench.door.device(claimOf('b'), peerWith(await makeDevice(line, 'b', now, 20), line))
    const enrolled = await makeDevice(root, 'valve', now, 6)
    const certificate = Buffer.from(enrolled.der).toString('base64')
    const enrollments = new Enrollments({ registry, bus, clock, random })
    const x509 = { clientCertificates: { primary: { certificate } } }
    await enrollments.putIndividual({ registrationId: 'valve', attestation: { type: 'x509', x509 } }, null)
    const signer = { primary: { certificate: Buffer.from(line.der).toString('base64') } }
    const attestation = { type: 'x509', x509: { signingCertificates: signer } }
    await enrollments.putGroup({ enrollmentGroupId: 'line', attestation }, null)
  })
  after(async () => {
    await watch.close()
    await bench.close()
  })

  const names = async (days: number) => (await watch.list(days * DAY)).items.map(({ kind, name }) => `${kind} ${name}`)

  test('is listed by its end, of every kind', async () => {
    assert.deepEqual(await names(400), [
      'device a',
      'enrollment valve',
      'device b',
      'intermediate CN=Acme Line 7',
      'enrollment line',
      'authority lab',
      'server CN=This server (EC)',
      'authority acme',
    ])
    assert.deepEqual(await names(7), ['device a', 'enrollment valve'])
    assert.deepEqual(await names(0), [])
  })

  test('is a metric and, once a day, a warning', async () => {
    const seconds = async (kind: string) =>
      (await bench.metrics.expirySeconds.get()).values.find(({ labels }) => labels.kind === kind)?.value
    const expiring = async (kind: string, within: string) =>
      (await bench.metrics.expiring.get()).values.find(({ labels }) => labels.kind === kind && labels.within === within)
        ?.value
    await watch.look()
    assert.ok(Math.abs(((await seconds('device')) ?? 0) - 3 * 86_400) <= 1)
    assert.equal(await expiring('device', '30d'), 2)
    assert.equal(await expiring('device', '7d'), 1)
    assert.equal(await expiring('enrollment', '7d'), 1)
    assert.equal(await expiring('authority', '30d'), 0)
    const warned = lines.filter(({ level }) => level === 'warn')
    assert.ok(
      warned.some(
        ({ facts, text }) => /expires within 30 days/.test(text) && 'name' in facts && facts.name === 'valve',
      ),
    )
    assert.ok(warned.some(({ facts }) => 'devices' in facts && facts.devices === 2))
    await watch.look()
    assert.equal(lines.length, warned.length, 'not again on the same day')

    bench.clock.time = now + 4 * DAY
    await watch.look()
    assert.ok(((await seconds('device')) ?? 0) < 0, 'it has ended')
    assert.equal(await expiring('device', '0d'), 1)
    assert.ok(lines.length > warned.length)
    bench.clock.time = now
  })

  test('long ago is forgotten for a device that never came back', async () => {
    bench.clock.time = now + 40 * DAY
    const remaining = await names(0)
    assert.ok(!remaining.includes('device a'))
    assert.ok(remaining.includes('device b'))
    assert.ok(remaining.includes('enrollment valve'), 'what an operator has set stays until he takes it away')
    bench.clock.time = now
  })
})
