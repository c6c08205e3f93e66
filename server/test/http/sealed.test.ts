import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from './running-server.ts'

test('that a device must seal is set by the management API and stays when others change the device', async (t) => {
  const server = await startServer(t)
  const path = '/hubs/plant/devices/meter-4'
  const authentication = { type: 'certificateAuthority' }

  const { json: created } = await server.operate(path, { method: 'PUT', body: { authentication } })
  assert.equal(created.sealed, 'off')
  const { json: switched } = await server.operate(path, { method: 'PATCH', body: { sealed: 'verify' } })
  assert.deepEqual([switched.sealed, switched.status], ['verify', 'enabled'])
  const { json: disabled } = await server.operate(path, {
    method: 'PATCH',
    body: { status: 'disabled', statusReason: 'lost' },
  })
  assert.deepEqual([disabled.sealed, disabled.status, disabled.statusReason], ['verify', 'disabled', 'lost'])
  const { json: again } = await server.operate(path, { method: 'PATCH', body: { sealed: 'off' } })
  assert.deepEqual([again.sealed, again.status, again.statusReason], ['off', 'disabled', 'lost'])
  const replaced = await server.operate(path, {
    method: 'PUT',
    body: { authentication, sealed: 'verify' },
    headers: { 'if-match': again.etag },
  })
  assert.deepEqual([replaced.json.sealed, replaced.json.status], ['verify', 'enabled'])
  for (const body of [{ sealed: 'yes' }, { sealed: null }, {}])
    assert.equal((await server.operate(path, { method: 'PATCH', body })).status, 400, JSON.stringify(body))
})

test('an enrollment carries it; whoever writes the enrollment without it leaves it as it is', async (t) => {
  const server = await startServer(t)
  for (const path of ['/enrollments/meter-4', '/enrollment-groups/line-1']) {
    const attestation = { type: 'symmetricKey' }
    const { json: made } = await server.operate(path, { method: 'PUT', body: { attestation, sealed: 'verify' } })
    assert.equal(made.sealed, 'verify')
    const headers = { 'if-match': made.etag }
    const { json: unaware } = await server.operate(path, { method: 'PUT', body: { attestation }, headers })
    assert.equal(unaware.sealed, 'verify')
    const change = { method: 'PUT', body: { attestation, sealed: 'off' }, headers: { 'if-match': unaware.etag } }
    assert.equal((await server.operate(path, change)).json.sealed, 'off')
    assert.equal((await server.operate(path)).json.sealed, 'off')
    assert.equal(
      (await server.operate(`${path}x`, { method: 'PUT', body: { attestation, sealed: 'perhaps' } })).status,
      400,
    )
  }
})
