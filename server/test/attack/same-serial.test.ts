import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import {
  certificateId,
  encodePem,
  generateKey,
  issueDevice,
  issueRoot,
  issuerOf,
  keySigner,
  parseCertificate,
  spkiOf,
} from '@holdfast/pki'
import { makeDevice, makeIntermediate } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
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

/** A device of a CA that calls itself `parent`, with the issuer and serial of another certificate. */
async function imitate(
  der: Uint8Array,
  parent: TestAuthority,
  id: string,
  above: TestAuthority[],
): Promise<TestIdentity> {
  const { serial } = parseCertificate(der)
  const bytes = Buffer.concat([Buffer.alloc(16), serial]).subarray(-16)
  const random = (size: number): Buffer => (size === 16 ? bytes : Buffer.alloc(size, 1))
  const key = generateKey('p256')
  const term = { now: Date.now(), lifetime: 24 * 60 * 60 * 1000 }
  const issuer = issuerOf(parseCertificate(parent.der), keySigner(parent.key))
  const leaf = await issueDevice(issuer, { id, spki: spkiOf(key), term }, random)
  const cert = [encodePem('CERTIFICATE', leaf), parent.pem, ...above.map(({ pem }) => pem)].join('')
  return { der: leaf, cert, key: key.export({ type: 'pkcs8', format: 'pem' }) }
}

suite('revoking a device takes no CA along', { timeout: 60_000 }, () => {
  test('whose issuer and serial its certificate imitates', async (t) => {
    const plant = await openPlant(t)
    const neighbour = await plant.device('valve')
    const live = await plant.live('valve', neighbour)
    const hostile = await makeIntermediate(plant.root, 'Hostile')
    const namesake = await makeIntermediate(hostile, 'Plant Root')
    const identity = await imitate(plant.line.der, namesake, 'evil', [hostile])
    assert.equal(certificateId(parseCertificate(identity.der)), certificateId(parseCertificate(plant.line.der)))
    await plant.device('evil')
    const evil = await plant.live('evil', identity)
    assert.equal((await plant.revoke({ device: 'evil' })).closedSessions, 1)
    await evil.closed
    live.send(Buffer.from([0xc0, 0]))
    assert.equal((await live.next()).cmd, 'pingresp')
    // Nor by its certificate.
    await plant.revoke({ certificate: identity.der.toString('base64') })
    live.socket.destroy()
    await plant.live('valve', neighbour)
    assert.match((await plant.refusal('evil', identity)).rule, /revoked/)
    await plant.restart()
    await plant.live('valve', neighbour)
    assert.match((await plant.refusal('evil', identity)).rule, /revoked/)
  })

  test('whose digest stands in the place of its thumbprint', async (t) => {
    const plant = await openPlant(t)
    const neighbour = await plant.device('valve')
    const live = await plant.live('valve', neighbour)
    const [primaryThumbprint, secondaryThumbprint] = [
      parseCertificate(plant.line.der).sha256.toUpperCase(),
      parseCertificate(plant.root.der).sha256.toUpperCase(),
    ]
    await plant.operate(`/hubs/${HOME}/devices/trap`, 'PUT', {
      authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint, secondaryThumbprint } },
    })
    const { revocations } = await plant.revoke({ device: 'trap' })
    assert.deepEqual(
      revocations.map(({ target }: { target: { kind: string } }) => target.kind),
      ['device'],
    )
    live.send(Buffer.from([0xc0, 0]))
    assert.equal((await live.next()).cmd, 'pingresp')
    await plant.live('valve', neighbour)
  })
})
