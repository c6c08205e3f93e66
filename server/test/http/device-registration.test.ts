import assert from 'node:assert/strict'
import { test } from 'node:test'
import provisioning from 'azure-iot-provisioning-device'
import transport from 'azure-iot-provisioning-device-http'
import symmetric from 'azure-iot-security-symmetric-key'
import security from 'azure-iot-security-x509'
import { makeDevice, makeIntermediate, makeProof, makeRoot } from './certificates.ts'
import type { TestIdentity } from './certificates.ts'
import { HUB, lead, PROVISIONING_HOST, startServer } from './running-server.ts'
import type { RunningServer } from './running-server.ts'

type Create = typeof provisioning.ProvisioningDeviceClient.create
type SecurityClient = Parameters<Create>[3]

const KEY = Buffer.alloc(32, 7).toString('base64')

function clientOf(server: RunningServer, identity: SecurityClient, scope = server.idScope) {
  const http = new transport.Http()
  lead(http, '_httpBase', server.agent({ keepAlive: false }))
  return provisioning.ProvisioningDeviceClient.create(PROVISIONING_HOST, scope, http, identity)
}

async function register(client: ReturnType<Create>) {
  const result = await client.register()
  assert.ok(result)
  return result
}

const x509 = (id: string, { cert, key }: TestIdentity) => new security.X509Security(id, { cert, key }) as SecurityClient

const withKey = (id: string, key: string) => new symmetric.SymmetricKeySecurityClient(id, key) as SecurityClient

async function verifiedAuthority(server: RunningServer, name: string) {
  const root = await makeRoot(name)
  const path = `/hubs/${HUB}/authorities/root`
  await server.operate(path, { method: 'PUT', body: { certificate: root.pem } })
  const { json } = await server.operate(`${path}/code`, { method: 'POST' })
  const certificate = (await makeProof(root, json.verificationCode)).toString('base64')
  const proven = await server.operate(`${path}/proof`, { method: 'POST', body: { certificate } })
  assert.equal(proven.json.state, 'verified')
  return root
}

test('a device registers by its chain to a verified CA of a group', async (t) => {
  const server = await startServer(t)
  const root = await verifiedAuthority(server, 'Plant root')
  const line = await makeIntermediate(root, 'Line 1')
  const attestation = { type: 'x509', x509: { caReferences: { primary: 'root' } } }
  await server.operate('/enrollment-groups/line', { method: 'PUT', body: { attestation } })
  const result = await register(clientOf(server, x509('robot-7', await makeDevice(line, 'robot-7', [line]))))
  assert.equal(result.deviceId, 'robot-7')
  assert.ok(['plant.test', 'depot.test'].includes(result.assignedHub ?? ''))
  assert.equal(result.status, 'assigned')

  // The chain misses its intermediate.
  await assert.rejects(register(clientOf(server, x509('robot-8', await makeDevice(line, 'robot-8')))), {
    name: 'UnauthorizedError',
  })
  // A CA of the same name that nobody registered.
  const impostor = await makeRoot('Plant root')
  await assert.rejects(register(clientOf(server, x509('robot-9', await makeDevice(impostor, 'robot-9', [impostor])))), {
    name: 'UnauthorizedError',
  })
  // Another name than the certificate's.
  const other = await makeDevice(line, 'robot-10', [line])
  await assert.rejects(register(clientOf(server, x509('robot-11', other))), { name: 'UnauthorizedError' })
})

test('a device registers by its symmetric key, and only at the right scope', async (t) => {
  const server = await startServer(t)
  const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } }
  await server.operate('/enrollments/meter', { method: 'PUT', body: { attestation, deviceId: 'meter-device' } })
  const result = await register(clientOf(server, withKey('meter', KEY)))
  assert.equal(result.deviceId, 'meter-device')

  const wrongKey = withKey('meter', Buffer.alloc(32, 8).toString('base64'))
  await assert.rejects(register(clientOf(server, wrongKey)), { name: 'UnauthorizedError' })
  const strange = clientOf(server, withKey('meter', KEY), '0neFFFFFFFF')
  await assert.rejects(register(strange), { name: 'UnauthorizedError' })
})

test('raw requests: GET with a body, a body over the limit, malformed JSON, a foreign id', async (t) => {
  const server = await startServer(t)
  const root = await verifiedAuthority(server, 'Plant root')
  const identity = await makeDevice(root, 'solo')
  const certificate = identity.der.toString('base64')
  const attestation = { type: 'x509', x509: { clientCertificates: { primary: { certificate } } } }
  await server.operate('/enrollments/solo', { method: 'PUT', body: { attestation } })
  const path = `/${server.idScope}/registrations/solo`
  const host = PROVISIONING_HOST
  const send = (body: string, headers = {}) =>
    server.ask(`${path}/register?api-version=2019-03-31`, {
      method: 'PUT',
      host,
      identity,
      body,
      headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    })
  const registered = await send('{"registrationId":"solo"}')
  assert.equal(registered.status, 200, registered.text)
  assert.equal(registered.json.status, 'assigned')

  const polled = await server.ask(`${path}/operations/${registered.json.operationId}?api-version=2019-03-31`, {
    host,
    identity,
    body: '{}',
    headers: { 'content-type': 'application/json', authorization: ' ' },
  })
  assert.deepEqual([polled.status, polled.json.registrationState.deviceId], [200, 'solo'])

  const lookedUp = await server.ask(`${path}?api-version=2019-03-31`, { method: 'POST', host, identity, body: {} })
  assert.deepEqual([lookedUp.status, lookedUp.json.status], [200, 'assigned'])

  const unknown = await server.ask(`${path}/operations/none?api-version=2019-03-31`, { host, identity })
  assert.deepEqual([unknown.status, unknown.json.errorCode], [404, 404205])

  const malformed = await send('{"registrationId":')
  assert.deepEqual([malformed.status, malformed.json.errorCode], [400, 400006])
  const foreign = await send('{"registrationId":"other"}')
  assert.deepEqual([foreign.status, foreign.json.errorCode], [401, 401002])
  const oversize = await send(JSON.stringify({ payload: 'x'.repeat(97 * 1024) }))
  assert.deepEqual([oversize.status, oversize.json.errorCode], [413, 413001])
})
