import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import {
  AnchorSet,
  certificateId,
  generateKey,
  issueCrl,
  issueIntermediate,
  issuerOf,
  keySigner,
  parseCertificate,
  spkiOf,
  VerifiedPath,
} from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { judgeProvenance } from '../../src/hub/door/provenance.ts'
import { isFinding } from '../../src/hub/findings/finding.ts'
import { KnownAuthorities } from '../../src/hub/authorities/known-authorities.ts'
import { Crls } from '../../src/hub/revocation/crls.ts'
import { authorityTarget } from '../../src/hub/revoke.ts'
import type { Device } from '../../src/model/device.ts'
import { certificateGround } from '../../src/model/ground.ts'
import { judgeLogIn } from '../../src/operators/certificate-log-in.ts'
import { DAY, makeDevice, makeIntermediate, makeRoot } from '../hub/certificates.ts'
import type { Made } from '../hub/certificates.ts'
import { FACTORY, openWorkbench } from '../hub/workbench.ts'
import { openTrust } from '../revocation/open-trust.ts'
import type { OpenTrust } from '../revocation/open-trust.ts'

/** Places for CAs: two for each of ten anchors. */
const PLACES = 20

async function openSite(t: TestContext) {
  const bench = await openWorkbench()
  const opened: OpenTrust[] = []
  t.after(async () => {
    for (const { close } of opened) close()
    await bench.close()
  })
  const open = async (): Promise<OpenTrust> => {
    const trust = await openTrust({ ...bench, known: new KnownAuthorities(PLACES) })
    opened.push(trust)
    return trust
  }
  return { bench, now: bench.clock.now(), open }
}

/** A device below these CAs, nearest first, the anchor last, shows itself. */
async function show({ trust }: OpenTrust, now: number, chain: readonly Made[]) {
  const [issuer = assert.fail()] = chain
  const leaf = parseCertificate((await makeDevice(issuer, 'pump', now)).der)
  const authorities = chain.map(certificateOf)
  const [anchor = assert.fail()] = authorities.slice(-1)
  const verdict = await trust.verify(FACTORY, {
    leaf,
    intermediates: authorities.slice(0, -1),
    anchors: new AnchorSet([anchor]),
    now,
    profile: 'compatible',
    purpose: 'clientAuth',
  })
  return { leaf, verdict }
}

test('one CA of ten makes intermediates by the hundred and pushes out none of the others, also after a restart', async (t) => {
  const { bench, now, open } = await openSite(t)
  const server = await open()
  const good: Made[] = []
  for (let at = 0; at < 9; at++) {
    const root = await makeRoot(`Root ${at}`, now)
    const line = await makeIntermediate(root, `Line ${at}`, now)
    assert.ok((await show(server, now, [line, root])).verdict instanceof VerifiedPath)
    good.push(root, line)
  }
  const hostile = await makeRoot('Hostile Root', now)
  const first = await makeIntermediate(hostile, 'Throw-away', now)
  const { leaf } = await show(server, now, [first, hostile])
  for (let at = 0; at < 200; at++) {
    const throwAway = await makeIntermediate(hostile, `Throw-away ${at}`, now)
    assert.ok((await show(server, now, [throwAway, hostile])).verdict instanceof VerifiedPath)
  }
  // A device that was provisioned below what is forgotten since is not let in by what can no longer be looked at.
  const path = [leaf, certificateOf(first), certificateOf(hostile)].map(certificateId)
  assert.equal(server.trust.authoritiesOf(leaf, path.slice(1)), undefined)
  const provenance = { enrollment: { kind: 'group', id: 'line' }, path } as const
  const { registry, anchors } = bench
  const judged = await judgeProvenance(
    { hub: FACTORY, provenance } as unknown as Device,
    { leaf, shown: '' },
    { home: FACTORY, now },
    { registry, anchors, trust: server.trust },
  )
  assert.ok(isFinding(judged))
  assert.equal(judged.rule, 'chain:revocation-unknown')
  const knows = ({ revocations }: OpenTrust, made: Made) =>
    revocations.known.withId(certificateId(certificateOf(made))).length === 1
  assert.ok(good.every((made) => knows(server, made)))
  const records = await bench.registry.revocations.changes(0, 1_000)
  // The ten anchors are kept besides.
  assert.equal(records.length, PLACES + 10)
  const restarted = await open()
  assert.ok(good.every((made) => knows(restarted, made)))
  assert.equal(restarted.revocations.revision, await bench.registry.revocations.sequence())
})

test('what a live session rests on is not forgotten, however many newcomers its own CA makes', async (t) => {
  const { now, open } = await openSite(t)
  const server = await open()
  const root = await makeRoot('Root', now)
  const line = await makeIntermediate(root, 'Line', now)
  const held = certificateId(certificateOf(line))
  server.revocations.known.holdWhile((id) => id === held)
  await show(server, now, [line, root])
  for (let at = 0; at < 3 * PLACES; at++) await show(server, now, [await makeIntermediate(root, `${at}`, now), root])
  assert.equal(server.revocations.known.withId(held).length, 1)
  await server.revocations.revoke(FACTORY, authorityTarget(certificateOf(line)), {
    reason: 'keyCompromise',
    by: 'test',
  })
  assert.ok(server.revocations.isCut(certificateGround(FACTORY, held)))
})

test('a CA that imitates issuer and serial of another does not stand in for it, nor fall with it', async (t) => {
  const { now, open } = await openSite(t)
  const server = await open()
  const [root, hostile] = [await makeRoot('Root', now), await makeRoot('Hostile Root', now)]
  const line = await makeIntermediate(root, 'Line', now)
  // Below the hostile root a CA of the good root's name, and below that one with the serial of the good line.
  const namesake = await makeIntermediate(hostile, 'Root', now)
  const imitation = await issueWithSerial(namesake, 'Line', certificateOf(line).serial, now)
  const id = certificateId(certificateOf(line))
  assert.equal(certificateId(certificateOf(imitation)), id)
  // The imitation is seen first.
  const imitated = await show(server, now, [imitation, namesake, hostile])
  const genuine = await show(server, now, [line, root])
  assert.ok(imitated.verdict instanceof VerifiedPath && genuine.verdict instanceof VerifiedPath)
  const rootId = certificateId(certificateOf(root))
  const above = server.trust.authoritiesOf(genuine.leaf, [id, rootId]) ?? []
  assert.deepEqual(
    above.map(({ sha256 }) => sha256),
    [line, root].map((made) => certificateOf(made).sha256),
  )
  // A provenance with these ids is judged by the true CA: the imitation's loss is not its own.
  const order = { reason: 'keyCompromise', by: 'test' } as const
  await server.revocations.revoke(FACTORY, authorityTarget(certificateOf(imitation)), order)
  assert.equal(server.trust.judge(FACTORY, [genuine.leaf, ...above], now), undefined)
  assert.ok(!server.revocations.isCut(certificateGround(FACTORY, id)))
  assert.ok(!((await show(server, now, [imitation, namesake, hostile])).verdict instanceof VerifiedPath))
  assert.ok((await show(server, now, [line, root])).verdict instanceof VerifiedPath)
  // And the other way round: the true one is found by its key, and its sessions with it.
  const target = authorityTarget(certificateOf(line))
  assert.deepEqual(server.revocations.groundsOf(FACTORY, target), [certificateGround(FACTORY, id)])
  await server.revocations.revoke(FACTORY, target, order)
  assert.equal(server.trust.judge(FACTORY, [genuine.leaf, ...above], now)?.rule, 'revoked')
})

test('an imitation does not take the place of a CA that is forgotten', async (t) => {
  const { now, open } = await openSite(t)
  const server = await open()
  const root = await makeRoot('Root', now)
  const line = await makeIntermediate(root, 'Line', now)
  const { leaf } = await show(server, now, [line, root])
  for (let at = 0; at < PLACES; at++) await show(server, now, [await makeIntermediate(root, `${at}`, now), root])
  const id = certificateId(certificateOf(line))
  assert.deepEqual(server.revocations.known.withId(id), [])
  const hostile = await makeIntermediate(root, 'Hostile', now)
  const namesake = await makeIntermediate(hostile, 'Root', now)
  const imitation = await issueWithSerial(namesake, 'Line', certificateOf(line).serial, now)
  assert.ok((await show(server, now, [imitation, namesake, hostile, root])).verdict instanceof VerifiedPath)
  assert.equal(server.revocations.known.withId(id).length, 1)
  // Else a device below the line whose key was revoked would be judged by the key of the imitation.
  assert.equal(server.trust.authoritiesOf(leaf, [id, certificateId(certificateOf(root))]), undefined)
})

test('a CA that makes namesakes of the issuer by the dozen does not hide that an operator is on its list', async (t) => {
  const { bench, now, open } = await openSite(t)
  const { registry, hubs, anchors, clock } = bench
  const { trust, revocations, verifier } = await open()
  const [root, hostile] = [await makeRoot('Operators', now), await makeRoot('Hostile Root', now)]
  const staff = await makeIntermediate(root, 'Staff', now)
  const grace = await makeDevice(staff, 'grace', now)
  const logIn = () => judgeLogIn([grace.der], { hubs, anchors, trust, clock })
  revocations.known.choose(certificateOf(staff))
  assert.equal(await logIn(), null)
  const issuer = issuerOf(certificateOf(staff), keySigner(staff.key))
  const { serial } = certificateOf(grace)
  const crl = await issueCrl(issuer, {
    number: 1n,
    thisUpdate: now - 1_000,
    nextUpdate: now + DAY,
    revoked: [{ serial, revokedAt: now - 2_000, reason: 'keyCompromise' }],
  })
  await new Crls({ revocations, registry, verifier, hubs, clock }).import(FACTORY, crl)
  assert.equal((await logIn())?.rule, 'chain:revoked')
  for (let at = 0; at < 40; at++) revocations.known.choose(certificateOf(await makeIntermediate(hostile, 'Staff', now)))
  assert.match((await logIn())?.rule ?? 'let in', /revoked|budget-exceeded/)
})

async function issueWithSerial(parent: Made, commonName: string, serial: Uint8Array, now: number): Promise<Made> {
  const key = generateKey('p256')
  const issuer = issuerOf(parseCertificate(parent.der), keySigner(parent.key))
  const bytes = Buffer.concat([Buffer.alloc(16), serial]).subarray(-16)
  const random = (size: number) => (size === 16 ? bytes : randomBytes(size))
  const request = { subject: { commonName }, spki: spkiOf(key), term: { now, lifetime: DAY } }
  return { key, der: await issueIntermediate(issuer, request, random) }
}

function certificateOf({ der }: Made): Certificate {
  return parseCertificate(der)
}
