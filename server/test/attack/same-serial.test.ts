import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { certificateId, encodePem, generateKey, issueRoot, keySigner, parseCertificate } from '@holdfast/pki'
import { makeDevice } from '../http/certificates.ts'
import type { TestAuthority } from '../http/certificates.ts'
import { HOME, openPlant } from '../revocation/plant.ts'
import type { Plant } from '../revocation/plant.ts'

/** Each with a key of its own, and all with one issuer and serial: a tool that counts from 1 makes them unasked. */
async function makeTwin(): Promise<TestAuthority> {
  const key = generateKey('p256')
  const profile = { subject: { commonName: 'Twin' }, term: { now: Date.now(), lifetime: 30 * 24 * 60 * 60 * 1000 } }
  const der = await issueRoot(keySigner(key), profile, (size) => Buffer.alloc(size, 0x11))
  return { der, pem: encodePem('CERTIFICATE', der), key }
}

async function twins(plant: Plant): Promise<readonly [TestAuthority, TestAuthority]> {
  const [one, other] = [await makeTwin(), await makeTwin()]
  const [id, otherId] = [one, other].map(({ der }) => certificateId(parseCertificate(der)))
  assert.equal(id, otherId)
  for (const [name, { pem }] of Object.entries({ one, other }))
    await plant.operate(`/hubs/${HOME}/authorities/${name}`, 'PUT', { certificate: pem, verified: true })
  return [one, other]
}

suite('of two CAs with one issuer and serial', { timeout: 60_000 }, () => {
  test('the one that stays registered does not keep what rests on the other', async (t) => {
    const plant = await openPlant(t)
    const [one, other] = await twins(plant)
    const live = await plant.live('pump', await plant.device('pump', one))
    const neighbour = await plant.live('valve', await plant.device('valve', other))
    await plant.operate(`/hubs/${HOME}/authorities/one`, 'DELETE')
    await live.closed
    neighbour.send(Buffer.from([0xc0, 0]))
    assert.equal((await neighbour.next()).cmd, 'pingresp')
  })

  test('the one that stays registered does not vouch for a device that the other let in', async (t) => {
    const plant = await openPlant(t)
    const [one] = await twins(plant)
    const signingCertificates = { primary: { certificate: one.pem } }
    const body = { attestation: { type: 'x509', x509: { signingCertificates } }, iotHubs: ['plant.test'] }
    await plant.operate('/enrollment-groups/twin', 'PUT', body)
    const identity = await makeDevice(one, 'pump')
    assert.equal((await plant.register('pump', identity)).json?.status, 'assigned')
    const live = await plant.live('pump', identity)
    await plant.operate(`/hubs/${HOME}/authorities/one`, 'DELETE')
    await live.closed
    assert.equal((await plant.refusal('pump', identity)).rule, 'authority-removed')
  })
})
