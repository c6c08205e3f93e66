import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeDevice, makeProof, makeRoot } from './certificates.ts'
import { startServer } from './running-server.ts'
import type { Ask, RunningServer } from './running-server.ts'

const operator =
  (server: RunningServer) =>
  (path: string, ask: Ask = {}) =>
    server.ask(path, { ...ask, headers: { authorization: `Bearer ${server.token}`, ...ask.headers } })

test('health is open, metrics and everything else want the token', async (t) => {
  const server = await startServer(t)
  assert.deepEqual((await server.ask('/healthz')).json, { status: 'alive' })
  assert.deepEqual((await server.ask('/readyz')).json, { status: 'ready' })
  for (const path of [
    '/metrics',
    '/holdfast/v1/status',
    '/holdfast/v1/refusals',
    '/holdfast/v1/provisioning/policies',
  ]) {
    const reply = await server.ask(path)
    assert.deepEqual([reply.status, reply.json.error.code], [401, 'unauthorized'])
    assert.equal(reply.headers['www-authenticate'], 'Bearer')
  }
  const metrics = await operator(server)('/metrics')
  assert.match(metrics.text, /^holdfast_refusals_total\{area="http",rule="token-missing"\} 4$/m)
})

test('wrong tokens are recorded and then put off, the right one never is', async (t) => {
  const server = await startServer(t)
  const wrong = { headers: { authorization: 'Bearer holdfast_guess' } }
  const statuses: number[] = []
  for (let tried = 0; tried < 12; tried++) statuses.push((await server.ask('/holdfast/v1/status', wrong)).status)
  assert.deepEqual(statuses, [...Array.from({ length: 10 }, () => 401), 429, 429])
  assert.equal((await operator(server)('/holdfast/v1/status')).status, 200)

  const query = '/holdfast/v1/refusals?rule=token-signature-wrong&wait=5'
  const { value } = (await operator(server)(query)).json
  assert.ok(value.length >= 1)
  assert.deepEqual([value[0].area, value[0].identity, value[0].peer.address], ['http', 'management', '127.0.0.1'])
  const shown = await operator(server)(`/holdfast/v1/refusals/${value[0].trackingId}`)
  assert.match(shown.json.remedy, /Authorization: Bearer/)
  server.skew = 61_000
  assert.equal((await server.ask('/holdfast/v1/status', wrong)).status, 401)
})

test('a CA is registered and proven over the management API', async (t) => {
  const server = await startServer(t)
  const ask = operator(server)
  const root = await makeRoot('Plant root')
  const path = '/holdfast/v1/hubs/plant/authorities/root'
  const registered = await ask(path, { method: 'PUT', body: { certificate: root.pem } })
  assert.deepEqual([registered.status, registered.json.state], [200, 'unverified'])
  const { json: coded } = await ask(`${path}/code`, { method: 'POST' })
  assert.equal(coded.state, 'code-issued')
  const impostor = await makeProof(await makeRoot('Plant root'), coded.verificationCode)
  const prove = (proof: Buffer) =>
    ask(`${path}/proof`, { method: 'POST', body: { certificate: proof.toString('base64') } })
  const refused = await prove(impostor)
  assert.deepEqual([refused.status, refused.json.error.code], [422, 'possession-unproven'])
  const proven = await prove(await makeProof(root, coded.verificationCode))
  assert.deepEqual([proven.json.state, proven.json.verifiedBy], ['verified', 'proof-of-possession'])
  assert.equal((await ask('/holdfast/v1/hubs/plant/authorities')).json.value.length, 1)
  assert.equal((await ask(path, { method: 'DELETE' })).status, 204)
  assert.equal((await ask(path)).json.error.code, 'certificate-not-found')
})

test('devices are made, paged, disabled and deleted', async (t) => {
  const server = await startServer(t)
  const ask = operator(server)
  const all = '/holdfast/v1/hubs/plant/devices'
  for (const id of ['a', 'b', 'c']) assert.equal((await ask(`${all}/${id}`, { method: 'PUT', body: {} })).status, 200)
  const first = (await ask(`${all}?limit=2`)).json
  assert.equal(first.next, 'b')
  assert.deepEqual(
    (await ask(`${all}?limit=2&after=b`)).json.value.map((d: { deviceId: string }) => d.deviceId),
    ['c'],
  )

  const before = (await ask(`${all}/a`)).json
  const disabled = await ask(`${all}/a`, { method: 'PATCH', body: { status: 'disabled', statusReason: 'lost' } })
  assert.deepEqual([disabled.json.status, disabled.json.statusReason], ['disabled', 'lost'])
  assert.deepEqual(disabled.json.authentication, before.authentication)
  const again = await ask(`${all}/a`, { method: 'PATCH', body: { status: 'enabled' } })
  assert.deepEqual([again.json.status, again.json.statusReason], ['enabled', null])
  assert.equal((await ask(`${all}/a`, { method: 'DELETE' })).status, 204)
  assert.equal((await ask('/holdfast/v1/hubs/nowhere/devices')).json.error.code, 'hub-not-found')
})

test('enrollments and groups are kept, and their keys shown apart', async (t) => {
  const server = await startServer(t)
  const ask = operator(server)
  const device = await makeDevice(await makeRoot('Plant root'), 'pump')
  const attestation = { type: 'x509', x509: { clientCertificates: { primary: { certificate: device.cert } } } }
  const made = await ask('/holdfast/v1/enrollments/pump', { method: 'PUT', body: { attestation } })
  assert.equal(made.json.registrationId, 'pump')
  const group = await ask('/holdfast/v1/enrollment-groups/line', {
    method: 'PUT',
    body: { attestation: { type: 'symmetricKey' } },
  })
  assert.equal(group.json.attestation.symmetricKey.primaryKey, '')
  const keys = (await ask('/holdfast/v1/enrollment-groups/line/attestation')).json
  assert.equal(Buffer.from(keys.symmetricKey.primaryKey, 'base64').length, 32)
  assert.deepEqual((await ask('/holdfast/v1/enrollment-groups/line/registrations')).json, { value: [], next: null })
  assert.equal((await ask('/holdfast/v1/enrollments')).json.value.length, 1)
  assert.equal((await ask('/holdfast/v1/enrollments/pump', { method: 'DELETE' })).status, 204)
  assert.equal((await ask('/holdfast/v1/registrations/pump')).json.error.code, 'registration-not-found')
})

test('a policy key is renewed, one at a time', async (t) => {
  const server = await startServer(t)
  const ask = operator(server)
  const before = (await ask('/holdfast/v1/hubs/plant/policies')).json.value
  const owner = before.find(({ name }: { name: string }) => name === 'iothubowner')
  const renewed = await ask('/holdfast/v1/hubs/plant/policies/iothubowner/rotate', {
    method: 'POST',
    body: { key: 'primary' },
  })
  assert.notEqual(renewed.json.primaryKey, owner.primaryKey)
  assert.equal(renewed.json.secondaryKey, owner.secondaryKey)
})

test('status and the OpenAPI document describe the server', async (t) => {
  const server = await startServer(t)
  const status = (await operator(server)('/holdfast/v1/status')).json
  assert.deepEqual(
    status.hubs.map(({ name, connected }: Record<string, unknown>) => [name, connected]),
    [
      ['plant', 0],
      ['depot', 0],
    ],
  )
  assert.equal(status.provisioning.idScope, server.idScope)
  const { json } = await server.ask('/holdfast/v1/openapi.json')
  assert.equal(json.openapi, '3.1.0')
  const paths = Object.keys(json.paths)
  for (const path of ['/devices/{deviceId}', '/{scope}/registrations/{registrationId}/register', '/holdfast/v1/status'])
    assert.ok(paths.includes(path), path)
})

test('a reader that waits for refusals is let go when the server stops', { timeout: 8_000 }, async (t) => {
  const server = await startServer(t)
  await server.operate('/status')
  // Goes out on the connection that stands; the next one has a handshake to make first.
  const waiting = server.operate('/refusals?after=1000000&wait=30')
  await server.operate('/status')
  const stopped = server.stop()
  assert.deepEqual((await waiting).json, { value: [], next: 1000000 })
  await stopped
})

test('a value that is not among those that a place takes is refused with the list of them', async (t) => {
  const server = await startServer(t)
  const message = async (path: string, ask: Ask = {}): Promise<string> => {
    const { status, json } = await operator(server)(`/holdfast/v1${path}`, ask)
    assert.deepEqual([status, json.error.code], [400, 'argument-invalid'])
    return json.error.message
  }
  const device = { method: 'PUT', body: { status: 'sleepy' } } as const
  assert.equal(await message('/hubs/plant/devices/d1', device), "body/status must be one of 'enabled', 'disabled'")
  assert.match(await message('/alarms?kind=banana'), /^querystring\/kind must be one of '[a-z-]+', /)
  assert.equal(await message('/refusals?limit=0'), 'querystring/limit must be >= 1')
  assert.match(await message('/refusals?rule=banana'), /^No cause is called 'banana'; docs\/errors\.md lists all/)
})

test('a device that was revoked is shown so, whatever its status', async (t) => {
  const server = await startServer(t)
  const operate = (path: string, ask: Ask = {}) => operator(server)(`/holdfast/v1/hubs/plant${path}`, ask)
  await operate('/devices/d1', { method: 'PUT', body: {} })
  assert.equal((await operate('/devices/d1')).json.revoked, null)
  await operate('/revocations', { method: 'POST', body: { device: 'd1', reason: 'keyCompromise' } })
  const { status, revoked } = (await operate('/devices')).json.value[0]
  assert.deepEqual([status, revoked.reason, revoked.by], ['enabled', 'keyCompromise', 'owner'])
})
