import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeDevice, makeRoot } from '../http/certificates.ts'
import { startServer } from '../http/running-server.ts'
import type { RunningServer } from '../http/running-server.ts'

async function makeOperator(server: RunningServer, name: string, role: string): Promise<Record<string, string>> {
  assert.equal((await server.operate(`/operators/${name}`, { method: 'PUT', body: { role } })).status, 200)
  const made = await server.operate(`/operators/${name}/tokens`, { method: 'POST', body: {} })
  assert.match(made.json.token, /^holdfast_[0-9a-f]{12}_[\w-]{43}$/)
  return { authorization: `Bearer ${made.json.token}` }
}

test('an operator logs in with a client certificate until it is revoked; only that certificate does', async (t) => {
  const server = await startServer(t)
  const root = await makeRoot('Operators')
  const [grace, twin] = [await makeDevice(root, 'grace'), await makeDevice(root, 'grace')]
  await makeOperator(server, 'grace', 'reader')
  const added = await server.operate('/operators/grace/certificates', {
    method: 'POST',
    body: { certificate: grace.cert },
  })
  assert.equal(added.status, 201)
  const status = (identity: typeof grace) => server.ask('/holdfast/v1/status', { identity })
  assert.equal((await status(grace)).status, 200)
  assert.equal((await status(twin)).status, 401)
  const write = await server.ask('/holdfast/v1/hubs/plant/devices/d1', { method: 'PUT', body: {}, identity: grace })
  assert.equal(write.status, 403)
  // A token that is shown decides, whatever certificate comes along.
  const guessed = { authorization: 'Bearer holdfast_guess' }
  assert.equal((await server.ask('/holdfast/v1/status', { headers: guessed, identity: grace })).status, 401)
  const gone = await server.operate(`/operators/grace/credentials/${added.json.id}`, { method: 'DELETE' })
  assert.equal(gone.status, 204)
  assert.equal((await status(grace)).status, 401)
  const ca = await server.operate('/operators/grace/certificates', { method: 'POST', body: { certificate: root.pem } })
  assert.equal(ca.status, 400)
})

test('nobody but those who may use keys is shown any', async (t) => {
  const server = await startServer(t)
  const [reader, worker, officer] = [
    await makeOperator(server, 'rita', 'reader'),
    await makeOperator(server, 'otto', 'operator'),
    await makeOperator(server, 'sofia', 'security-officer'),
  ]
  const device = await server.operate('/hubs/plant/devices/d1', { method: 'PUT', body: {} })
  const key: string = device.json.authentication.symmetricKey.primaryKey
  assert.ok(key.length > 20)
  const policyKey = (await server.operate('/hubs/plant/policies')).json.value[0].primaryKey
  for (const path of ['/hubs/plant/devices/d1', '/hubs/plant/devices', '/hubs/plant/policies']) {
    const textFor = async (headers: Record<string, string>) =>
      (await server.ask(`/holdfast/v1${path}`, { headers })).text
    for (const headers of [reader, officer])
      assert.ok(!(await textFor(headers)).includes(key) && !(await textFor(headers)).includes(policyKey), path)
    const text = await textFor(worker)
    assert.ok(text.includes(key) || text.includes(policyKey), path)
  }
  const rotated = await server.ask('/holdfast/v1/hubs/plant/policies/service/rotate', {
    method: 'POST',
    body: { key: 'primary' },
    headers: officer,
  })
  assert.deepEqual([rotated.status, rotated.json.primaryKey], [200, null])
})

test('failed log-ins in the name of an operator are slowed from wherever they come; the right token always passes', async (t) => {
  const server = await startServer(t)
  const right = await makeOperator(server, 'otto', 'operator')
  const wrong = { authorization: `${(right['authorization'] ?? '').slice(0, -3)}xyz` }
  const statuses: number[] = []
  for (let attempt = 0; attempt < 13; attempt++)
    statuses.push((await server.ask('/holdfast/v1/status', { headers: wrong })).status)
  assert.deepEqual(statuses, [...Array<number>(10).fill(401), 429, 429, 429])
  assert.equal((await server.ask('/holdfast/v1/status', { headers: right })).status, 200)
  const { json } = await server.operate('/refusals?identity=management:%20otto')
  assert.ok(json.value.length > 0)
})

test('operators, their names and credentials are bounded', async (t) => {
  const server = await startServer(t)
  const put = (name: string, role = 'reader') => server.operate(`/operators/${name}`, { method: 'PUT', body: { role } })
  for (const name of ['owner', 'Ada', '-a', 'a b', 'a'.repeat(65)])
    assert.equal((await put(encodeURIComponent(name))).status, 400, name)
  assert.equal((await put('ada', 'king')).status, 400)
  assert.equal((await put('ada')).status, 200)
  assert.equal((await put('ada')).status, 412)
  const issue = () => server.operate('/operators/ada/tokens', { method: 'POST', body: {} })
  for (let count = 0; count < 10; count++) assert.equal((await issue()).status, 201)
  assert.equal((await issue()).status, 400)
  const listed = await server.operate('/operators')
  assert.equal(listed.json.value[0].credentials.length, 10)
  assert.ok(!listed.text.includes('sha256'), 'digests of tokens are nobody’s business')
  assert.equal((await server.operate('/operators/ada', { method: 'DELETE' })).status, 204)
  assert.equal((await issue()).status, 404)
})
