import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { makeDevice, makeIntermediate } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { CONNECTION_LIMITS } from '../../src/mqtt/connection.ts'
import { HUB, startFixture } from '../mqtt/fixture.ts'
import { connect, publish } from '../mqtt/packet-bytes.ts'
import { RawClient } from '../mqtt/raw-client.ts'
import { parseCertificate } from '@holdfast/pki'
import { certificateTarget } from '../../src/hub/revoke.ts'
import { AWAY, HOME, openPlant } from './plant.ts'
import type { Plant } from './plant.ts'

const DISABLED = { provisioningStatus: 'disabled' }

async function enroll(plant: Plant, changes: object = {}): Promise<void> {
  const attestation = { type: 'x509', x509: { signingCertificates: { primary: { certificate: plant.line.pem } } } }
  const body = { attestation, iotHubs: ['depot.test'], ...changes }
  // An enrollment that is there is replaced.
  const answer = await plant.ask('/holdfast/v1/enrollment-groups/line', { method: 'PUT', body })
  if (answer.status === 409) await replace(plant, body)
  else assert.ok(answer.status < 300, answer.bytes.toString())
}

async function replace(plant: Plant, body: object): Promise<void> {
  await plant.operate('/enrollment-groups/line', 'DELETE')
  await plant.operate('/enrollment-groups/line', 'PUT', body)
}

/** A device that the provisioning service put on the other hub, by its thumbprint. */
async function provisioned(plant: Plant, id: string, parent?: TestAuthority): Promise<TestIdentity> {
  const signer = parent ?? plant.line
  const identity = await makeDevice(signer, id, [signer])
  const answer = await plant.register(id, identity)
  assert.equal(answer.json?.status, 'assigned', answer.bytes.toString())
  assert.equal(answer.json.registrationState.assignedHub, 'depot.test')
  return identity
}

suite('a device that was provisioned by its certificate', () => {
  test('falls with the intermediate that the provisioning service was shown, at whichever hub it is', async (t) => {
    const plant = await openPlant(t)
    await enroll(plant)
    const identity = await provisioned(plant, 'pump')
    const live = await plant.live('pump', identity, AWAY)
    await plant.restart()
    const again = await plant.live('pump', identity, AWAY)
    live.socket.destroy()
    const outcome = await plant.revoke({ authority: plant.line.pem, reason: 'cACompromise', by: 'Ada' })
    assert.equal(outcome.closedSessions, 1)
    await again.closed
    const refusal = await plant.refusal('pump', identity, AWAY)
    assert.equal(refusal.rule, 'chain:revoked')
    assert.match(refusal.message, /CA certificate "CN=Line 7" was revoked/)
    assert.equal((await plant.registrationRefusal('pump', identity)).rule, 'chain:revoked')
  })

  test('falls with the root, by a decision of its own hub too', async (t) => {
    const plant = await openPlant(t)
    await enroll(plant)
    const identity = await provisioned(plant, 'pump')
    const live = await plant.live('pump', identity, AWAY)
    assert.equal((await plant.revoke({ certificate: plant.root.pem }, AWAY)).closedSessions, 1)
    await live.closed
    assert.equal((await plant.refusal('pump', identity, AWAY)).rule, 'chain:revoked')
  })

  test('is refused by the provisioning service after its own hub revoked it as a device', async (t) => {
    const plant = await openPlant(t)
    await enroll(plant)
    const identity = await provisioned(plant, 'pump')
    const live = await plant.live('pump', identity, AWAY)
    assert.equal((await plant.revoke({ device: 'pump' }, AWAY)).closedSessions, 1)
    await live.closed
    assert.equal((await plant.registrationRefusal('pump', identity)).rule, 'device-revoked')
    const fresh = await makeDevice(plant.line, 'pump', [plant.line])
    assert.equal((await plant.register('pump', fresh)).status, 401)
  })

  test('is closed and refused when its enrollment is disabled or deleted', async (t) => {
    const plant = await openPlant(t)
    await enroll(plant)
    const identity = await provisioned(plant, 'pump')
    const live = await plant.live('pump', identity, AWAY)
    await enroll(plant, DISABLED)
    await live.closed
    const refusal = await plant.refusal('pump', identity, AWAY)
    assert.equal(refusal.rule, 'enrollment-disabled')
    assert.match(refusal.message, /'line' that put the device here is disabled/)
    await enroll(plant)
    const again = await plant.live('pump', identity, AWAY)
    await plant.operate('/enrollment-groups/line', 'DELETE')
    await again.closed
    const outcome = await plant.refusal('pump', identity, AWAY)
    assert.ok(['enrollment-deleted', 'enrollment-disabled'].includes(outcome.rule))
  })

  test('is closed and refused when the CA that vouched for it leaves the register', async (t) => {
    const plant = await openPlant(t)
    await enroll(plant)
    const identity = await provisioned(plant, 'pump')
    const live = await plant.live('pump', identity, AWAY)
    await plant.operate(`/hubs/${HOME}/authorities/root`, 'DELETE')
    await live.closed
    const refusal = await plant.refusal('pump', identity, AWAY)
    assert.equal(refusal.rule, 'authority-removed')
    assert.match(refusal.message, /"CN=Plant Root", which is not registered and proven at hub 'plant'/)
    await plant.operate(`/hubs/${HOME}/authorities/root`, 'PUT', { certificate: plant.root.pem, verified: true })
    await plant.live('pump', identity, AWAY)
  })
})

function x509(primaryThumbprint: string) {
  return { authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint, secondaryThumbprint: null } } }
}

suite('a live session', () => {
  test('ends with the registration of its CA', async (t) => {
    const plant = await openPlant(t)
    const identity = await plant.device('pump')
    const live = await plant.live('pump', identity)
    await plant.operate(`/hubs/${HOME}/authorities/root`, 'DELETE')
    await live.closed
    assert.equal((await plant.refusal('pump', identity)).rule, 'chain:issuer-not-found')
  })

  test('ends when its device is disabled, deleted or given another thumbprint', async (t) => {
    const plant = await openPlant(t)
    const path = `/hubs/${HOME}/devices/pump`
    const own = await plant.device('pump')
    const first = await plant.live('pump', own)
    await plant.operate(path, 'PATCH', { status: 'disabled' })
    await first.closed
    assert.equal((await plant.refusal('pump', own)).rule, 'device-disabled')
    await plant.operate(path, 'PATCH', { status: 'enabled' })
    const second = await plant.live('pump', own)
    await plant.operate(path, 'DELETE')
    await second.closed
    const thumbprint = parseCertificate(own.der).sha256
    await plant.operate(path, 'PUT', x509(thumbprint))
    const third = await plant.live('pump', own)
    const { etag } = await plant.operate(path)
    const replaced = await plant.ask(`/holdfast/v1${path}`, {
      method: 'PUT',
      body: x509('ab'.repeat(32)),
      headers: { 'if-match': `"${etag}"` },
    })
    assert.equal(replaced.status, 200, replaced.bytes.toString())
    await third.closed
  })

  test('ends with its certificate and with the CA above it, by the clock', async (t) => {
    const plant = await openPlant(t)
    const identity = await plant.device('pump')
    const live = await plant.live('pump', identity)
    plant.time.skew = 31 * 24 * 60 * 60 * 1000
    await live.closed
  })

  test('under another CA stays when an intermediate is revoked', async (t) => {
    const plant = await openPlant(t)
    const other = await makeIntermediate(plant.root, 'Line 9')
    const live = await plant.live('calm', await plant.device('calm', other))
    await plant.revoke({ authority: plant.line.pem })
    live.send(Buffer.from([0xc0, 0]))
    assert.equal((await live.next()).cmd, 'pingresp')
  })
})

test('what was acknowledged before the cut stays, and nothing that waits in the socket is accepted after it', async () => {
  const fixture = await startFixture()
  try {
    const identity = await fixture.device('pump')
    const client = new RawClient(await fixture.dial(identity))
    client.send(connect({ clientId: 'pump', userName: 'localhost/pump/?api-version=2021-04-12' }))
    await client.next()
    const topic = 'devices/pump/messages/events/'
    client.send(publish(topic, 'kept', { qos: 1, packetId: 1 }))
    assert.equal((await client.next()).cmd, 'puback')
    // The log answers to nothing, so the server stops reading once enough wait, and the rest stays in the socket.
    const { pendingMessages } = CONNECTION_LIMITS
    const full = Promise.withResolvers<void>()
    let offered = 0
    fixture.interceptAppend(() => {
      offered += 1
      if (offered === pendingMessages) full.resolve()
      return new Promise(() => {})
    })
    for (let at = 0; at < pendingMessages + 200; at++)
      client.send(publish(topic, `late ${at}`, { qos: 1, packetId: 2 + at }))
    await full.promise
    const target = certificateTarget(parseCertificate(identity.der))
    const { closed } = await fixture.revocations.revoke(HUB, target, { reason: 'keyCompromise', by: 'test' })
    fixture.interceptAppend(null)
    assert.equal(closed, 1)
    await client.closed
    assert.equal(offered, pendingMessages)
    assert.deepEqual(client.packets, [])
    const bodies = (await fixture.events()).map(({ event }) => Buffer.from(event.body).toString())
    assert.deepEqual(bodies, ['kept'])
  } finally {
    await fixture.close()
  }
})
