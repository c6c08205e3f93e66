import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Door } from '../../src/hub/door/authenticate.ts'
import type { Provisioning } from './fixture.ts'
import {
  assertAssigned,
  assertRefused,
  derivedKey,
  makeIntermediate,
  makeLeaf,
  makeRoot,
  NOW,
  openProvisioning,
  peerWith,
  tokenFor,
} from './fixture.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')
let house: Provisioning
let hubDoor: Door

before(async () => {
  house = await openProvisioning()
  hubDoor = new Door({ ...house, provisioningHosts: [] })
})
after(() => house.close())

/** What a device claims at the hub that it was assigned to. */
function claimAt(host: string | null, deviceId: string | null, token: string | null) {
  assert.ok(host !== null && deviceId !== null)
  return { host, deviceId, moduleId: null, token, modelId: null }
}

test('a device connects to the hub it was assigned to with the certificate that it registered with', async () => {
  const root = await makeRoot('Root')
  const line = await makeIntermediate(root, 'Line')
  await house.registerAuthority('root', root)
  const attestation = { type: 'x509', x509: { signingCertificates: { primary: { certificate: line.pem } } } }
  await house.enrollments.putGroup({ enrollmentGroupId: 'line', attestation, iotHubs: ['west.example'] }, null)
  const chain = [await makeLeaf(line, 'dev-1'), line.der]
  const { assignedHost, deviceId } = assertAssigned(await house.register('dev-1', { chain }))
  const claim = claimAt(assignedHost, deviceId, null)
  const { device } = await hubDoor.device(claim, peerWith(chain))
  assert.equal(device.deviceId, 'dev-1')
  const other = [await makeLeaf(line, 'dev-1'), line.der]
  await assertRefused(hubDoor.device(claim, peerWith(other)), 'thumbprint-mismatch')
})

test('a device connects to the hub it was assigned to with the key that it registered with', async () => {
  const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } }
  await house.enrollments.putGroup({ enrollmentGroupId: 'keys', attestation }, null)
  const key = derivedKey(KEY, 'dev-2')
  const { assignedHost, deviceId } = assertAssigned(await house.register('dev-2', { token: tokenFor('dev-2', key) }))
  const resource = encodeURIComponent(`${assignedHost}/devices/${deviceId}`)
  const expiry = NOW / 1000 + 60
  const hmac = createHmac('sha256', Buffer.from(key, 'base64')).update(`${resource}\n${expiry}`)
  const token = `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(hmac.digest('base64'))}&se=${expiry}`
  const { device } = await hubDoor.device(claimAt(assignedHost, deviceId, token), peerWith([]))
  assert.equal(device.deviceId, 'dev-2')
})
