import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { makeDevice, makeIntermediate } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { signToken } from '../amqp/tokens.ts'
import { HOME, openPlant } from './plant.ts'
import type { Plant } from './plant.ts'

async function put(plant: Plant, path: string, x509: object): Promise<void> {
  const body = { attestation: { type: 'x509', x509 }, iotHubs: ['plant.test'] }
  const answer = await plant.ask(`/holdfast/v1${path}`, { method: 'PUT', body, headers: { 'if-match': '*' } })
  assert.ok(answer.status < 300, answer.bytes.toString())
}

function enrolled(primary: TestIdentity, secondary?: TestIdentity): object {
  const slot = ({ cert }: TestIdentity) => ({ certificate: cert.slice(0, cert.indexOf('-----END')) + END })
  return { clientCertificates: { primary: slot(primary), ...(secondary && { secondary: slot(secondary) }) } }
}
const END = '-----END CERTIFICATE-----\n'

function signing(primary: TestAuthority, secondary?: TestAuthority): object {
  const slot = ({ pem }: TestAuthority) => ({ certificate: pem })
  return { signingCertificates: { primary: slot(primary), ...(secondary && { secondary: slot(secondary) }) } }
}

async function registered(plant: Plant, id: string, identity: TestIdentity): Promise<void> {
  const answer = await plant.register(id, identity)
  assert.equal(answer.json?.status, 'assigned', answer.bytes.toString())
}

/** The hub lets the old credential in until it is replaced, then says why not, and takes the new one once it registered. */
async function assertReplaced(plant: Plant, old: TestIdentity, fresh: TestIdentity, replace: () => Promise<void>) {
  await registered(plant, 'pump', old)
  const live = await plant.live('pump', old)
  await replace()
  await live.closed
  const refusal = await plant.refusal('pump', old)
  assert.equal(refusal.rule, 'enrollment-credential-replaced')
  assert.match(refusal.message, /does not hold any more/)
  assert.match(refusal.remedy, /register with the provisioning service again/)
  assert.equal((await plant.register('pump', old)).status, 401)
  await registered(plant, 'pump', fresh)
  await plant.live('pump', fresh)
}

suite('a credential that an enrollment no longer holds', { timeout: 60_000 }, () => {
  test('is refused at the hub: the certificate of an individual enrollment', async (t) => {
    const plant = await openPlant(t)
    const [old, next, last] = await Promise.all([1, 2, 3].map(() => makeDevice(plant.line, 'pump', [plant.line])))
    assert.ok(old && next && last)
    await put(plant, '/enrollments/pump', enrolled(old))
    await assertReplaced(plant, old, next, () => put(plant, '/enrollments/pump', enrolled(next)))
    // One beside the other: nobody is cut off while both are enrolled.
    const live = await plant.live('pump', next)
    await put(plant, '/enrollments/pump', enrolled(last, next))
    live.send(Buffer.from([0xc0, 0]))
    assert.equal((await live.next()).cmd, 'pingresp')
  })

  test('is refused at the hub: the CA of a group', async (t) => {
    const plant = await openPlant(t)
    const other = await makeIntermediate(plant.root, 'Line 9')
    const old = await makeDevice(plant.line, 'pump', [plant.line])
    const fresh = await makeDevice(other, 'pump', [other])
    await put(plant, '/enrollment-groups/line', signing(plant.line, other))
    await assertReplaced(plant, old, fresh, () => put(plant, '/enrollment-groups/line', signing(other)))
  })

  test('is refused at the hub: the CA that a group names as it is registered', async (t) => {
    const plant = await openPlant(t)
    const other = await makeIntermediate(plant.root, 'Line 9')
    const register = (name: string, { pem }: TestAuthority) =>
      plant.operate(`/hubs/${HOME}/authorities/${name}`, 'PUT', { certificate: pem, verified: true })
    await register('line', plant.line)
    await register('other', other)
    const old = await makeDevice(plant.line, 'pump', [plant.line])
    const fresh = await makeDevice(other, 'pump', [other])
    await put(plant, '/enrollment-groups/line', { caReferences: { primary: 'line' } })
    await assertReplaced(plant, old, fresh, () =>
      put(plant, '/enrollment-groups/line', { caReferences: { primary: 'other' } }),
    )
  })

  test('stays good as long as a CA of the group stands above it', async (t) => {
    const plant = await openPlant(t)
    const identity = await makeDevice(plant.line, 'pump', [plant.line])
    await put(plant, '/enrollment-groups/line', signing(plant.line))
    await registered(plant, 'pump', identity)
    const live = await plant.live('pump', identity)
    // The root stands above it as well: the device is still one of the group's.
    await put(plant, '/enrollment-groups/line', signing(plant.line, plant.root))
    live.send(Buffer.from([0xc0, 0]))
    assert.equal((await live.next()).cmd, 'pingresp')
    await put(plant, '/enrollment-groups/line', signing(plant.root))
    await plant.live('pump', identity)
  })

  test('is refused at the hub: the symmetric key of an individual enrollment', async (t) => {
    const plant = await openPlant(t)
    const [one, two, three] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64'))
    assert.ok(one && two && three)
    const enroll = async (primaryKey: string, secondaryKey: string): Promise<void> => {
      const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey, secondaryKey } }
      const body = { attestation, iotHubs: ['plant.test'] }
      const options = { method: 'PUT', body, headers: { 'if-match': '*' } }
      const answer = await plant.ask('/holdfast/v1/enrollments/pump', options)
      assert.ok(answer.status < 300, answer.bytes.toString())
    }
    const later = Date.now() + 3_600_000
    const register = async (key: string) => {
      const authorization = signToken(`${plant.idScope}/registrations/pump`, key, 'iot', later)
      const path = `/${plant.idScope}/registrations/pump/register?api-version=2021-06-01`
      return plant.ask(path, { method: 'PUT', body: { registrationId: 'pump' }, authorization })
    }
    const login = (key: string) => plant.withToken('pump', signToken('plant.test/devices/pump', key, 'iot', later))
    await enroll(one, two)
    assert.equal((await register(one)).json?.status, 'assigned')
    const live = await login(one)
    assert.equal(await plant.returnCode(live), 0)
    await enroll(three, two)
    await live.closed
    assert.equal(await plant.returnCode(await login(one)), 5)
    // The other key was left alone.
    assert.equal(await plant.returnCode(await login(two)), 0)
    assert.equal((await register(one)).status, 401)
    assert.equal((await register(three)).json?.status, 'assigned')
    assert.equal(await plant.returnCode(await login(three)), 0)
  })
})
