import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { makeDevice, makeIntermediate } from '../http/certificates.ts'
import type { TestIdentity } from '../http/certificates.ts'
import { AWAY, HOME, openPlant } from './plant.ts'
import type { Plant } from './plant.ts'

const CASES: readonly [string, (identity: TestIdentity, plant: Plant) => object][] = [
  ['its certificate', ({ der }) => ({ certificate: der.toString('base64') })],
  ['its SHA-1', ({ der }) => ({ thumbprint: parseCertificate(der).sha1.toUpperCase() })],
  ['its SHA-256', ({ der }) => ({ thumbprint: parseCertificate(der).sha256 })],
  ['issuer and serial', ({ der }, { line }) => ({ issuer: line.pem, serial: parseCertificate(der).serialHex })],
]

suite('a revocation', () => {
  for (const [what, body] of CASES) {
    test(`of ${what} closes the live session, and the certificate opens none again, also after a restart`, async (t) => {
      const plant = await openPlant(t)
      const [victim, other] = [await plant.device('victim'), await plant.device('other')]
      const [live, bystander] = [await plant.live('victim', victim), await plant.live('other', other)]
      const order = { ...body(victim, plant), reason: 'keyCompromise', by: 'Ada' }
      const outcome = await plant.revoke(order)
      assert.equal(outcome.closedSessions, 1)
      await live.closed
      const refusal = await plant.refusal('victim', victim)
      assert.equal(refusal.rule, 'chain:revoked')
      assert.match(refusal.message, /CN=victim.* was revoked at .*keyCompromise; revoked by Ada/)
      assert.equal((await plant.registrationRefusal('victim', victim)).rule, 'chain:revoked')
      bystander.socket.destroy()
      const again = await plant.live('other', other)
      again.socket.destroy()
      // Told again it stays as it was.
      assert.equal((await plant.revoke({ ...order, reason: 'superseded' })).revocations[0].reason, 'keyCompromise')
      await plant.restart()
      assert.equal((await plant.refusal('victim', victim)).rule, 'chain:revoked')
      await plant.live('other', other)
      // The same id with a new certificate is fine.
      await plant.live('victim', await makeDevice(plant.line, 'victim', [plant.line]))
    })
  }

  test('of an intermediate takes its subtree, whatever certificate of its key is shown', async (t) => {
    const plant = await openPlant(t)
    const other = await makeIntermediate(plant.root, 'Line 8')
    const below = await Promise.all(['a', 'b', 'c'].map((id) => plant.device(id)))
    const beside = await plant.device('beside', other)
    const lives = await Promise.all(['a', 'b', 'c'].map((id, at) => plant.live(id, below[at] ?? beside)))
    const bystander = await plant.live('beside', beside)
    const outcome = await plant.revoke({ authority: plant.line.pem, reason: 'cACompromise' })
    assert.equal(outcome.closedSessions, 3)
    await Promise.all(lives.map(({ closed }) => closed))
    const refusal = await plant.refusal('a', below[0] ?? beside)
    assert.equal(refusal.rule, 'chain:revoked')
    assert.match(refusal.message, /CA certificate "CN=Line 7".*cACompromise/)
    // Seen for the first time only now, and refused all the same.
    assert.equal((await plant.refusal('fresh', await plant.device('fresh'))).rule, 'chain:revoked')
    assert.equal(bystander.socket.destroyed, false)
    await plant.live('beside', beside)
  })

  test('of the root refuses everything below it', async (t) => {
    const plant = await openPlant(t)
    const identity = await plant.device('pump')
    const live = await plant.live('pump', identity)
    assert.equal((await plant.revoke({ certificate: plant.root.pem })).closedSessions, 1)
    await live.closed
    assert.equal((await plant.refusal('pump', identity)).rule, 'chain:revoked')
  })

  test('of a device takes its identity and every certificate it was seen with', async (t) => {
    const plant = await openPlant(t)
    const first = await plant.device('pump')
    const second = await makeDevice(plant.line, 'pump', [plant.line])
    const earlier = await plant.live('pump', first)
    const live = await plant.live('pump', second)
    await earlier.closed
    const outcome = await plant.revoke({ device: 'pump', reason: 'privilegeWithdrawn', by: 'Ada' })
    await live.closed
    assert.equal(outcome.closedSessions, 1)
    const targets = outcome.revocations.map(({ target }: { target: { kind: string } }) => target.kind).toSorted()
    assert.deepEqual(targets, ['certificate', 'certificate', 'device'])
    const third = await makeDevice(plant.line, 'pump', [plant.line])
    const refusal = await plant.refusal('pump', third)
    assert.equal(refusal.rule, 'device-revoked')
    assert.match(refusal.message, /privilegeWithdrawn.* by Ada/)
    // Another generation of it is another device, but the old certificates stay revoked.
    await plant.operate(`/hubs/${HOME}/devices/pump`, 'DELETE')
    await plant.device('pump')
    await plant.live('pump', third)
    const old = await plant.refusal('pump', first)
    assert.ok(['chain:revoked', 'device-revoked'].includes(old.rule))
  })

  test('by hold can be lifted, and no other', async (t) => {
    const plant = await openPlant(t)
    const identity = await plant.device('pump')
    const certificate = identity.der.toString('base64')
    const { revocations } = await plant.revoke({ certificate, reason: 'certificateHold' })
    assert.equal((await plant.refusal('pump', identity)).rule, 'chain:revoked')
    const { id } = revocations[0]
    await plant.operate(`/hubs/${HOME}/revocations/lift`, 'POST', { id })
    await plant.live('pump', identity)
    await plant.restart()
    const live = await plant.live('pump', identity)
    await plant.revoke({ certificate, reason: 'keyCompromise' })
    await live.closed
    const why = await plant.refused(`/hubs/${HOME}/revocations/lift`, 'POST', { id })
    assert.match(why, /revoked for good \(keyCompromise\)/)
  })

  test('at one hub leaves another alone', async (t) => {
    const plant = await openPlant(t)
    const identity = await plant.device('pump')
    const live = await plant.live('pump', identity)
    const outcome = await plant.revoke({ authority: plant.line.pem }, AWAY)
    assert.equal(outcome.closedSessions, 0)
    assert.equal(live.socket.destroyed, false)
    await plant.live('pump', identity)
  })

  test('that names nothing, or two things, or nonsense is refused', async (t) => {
    const plant = await openPlant(t)
    const path = `/hubs/${HOME}/revocations`
    assert.match(await plant.refused(path, 'POST', {}), /Name one thing/)
    assert.match(await plant.refused(path, 'POST', { device: 'a', thumbprint: 'b' }), /Name one thing/)
    assert.match(await plant.refused(path, 'POST', { thumbprint: 'abc' }), /40 hex digits/)
    assert.match(await plant.refused(path, 'POST', { serial: '01' }), /issuer and serial/)
    assert.match(await plant.refused(path, 'POST', { issuer: plant.line.pem, serial: 'xyz' }), /hex digits/)
    const leaf = (await makeDevice(plant.line, 'x')).der.toString('base64')
    assert.match(await plant.refused(path, 'POST', { authority: leaf }), /is no CA/)
    await plant.refused(path, 'POST', { device: 'nobody' })
  })
})
