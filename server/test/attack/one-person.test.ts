import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { TestContext } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import { HUB, startServer } from '../http/running-server.ts'

const RESOURCE = `/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/${HUB}/certificates/root`

async function site(t: TestContext) {
  const server = await startServer(t, {}, { settings: { management: { secondPerson: true } } })
  const root = await makeRoot('Plant Root')
  const body = { certificate: root.pem }
  const registered = await server.operate(`/hubs/${HUB}/authorities/root`, { method: 'PUT', body })
  assert.equal(registered.status, 200, registered.text)
  const { sha256, serial } = registered.json
  return { server, root, sha256, serial }
}

/** One operator alone tries to cut off everything below a CA, or to trust a CA that nobody proved. */
suite('without a second person nobody', () => {
  test('revokes a CA, however it is named', async (t) => {
    const { server, root, sha256, serial } = await site(t)
    const { sha1 } = parseCertificate(root.der)
    for (const named of [
      { certificate: root.pem },
      { authority: root.pem },
      { thumbprint: sha256 },
      { thumbprint: sha1.toUpperCase() },
      { issuer: root.pem, serial },
    ]) {
      const answer = await server.operate(`/hubs/${HUB}/revocations`, { method: 'POST', body: named })
      assert.equal(answer.status, 403, `${Object.keys(named).join()}: ${answer.text}`)
      assert.match(answer.json.error.message, /second person/)
    }
    assert.deepEqual((await server.operate(`/hubs/${HUB}/revocations`)).json.value, [])
  })

  test('puts another CA in the place of one', async (t) => {
    const { server, sha256 } = await site(t)
    const other = await makeRoot('Mallory Root')
    const headers = { 'if-match': '*' }
    const replaced = await server.operate(`/hubs/${HUB}/authorities/root`, {
      method: 'PUT',
      headers,
      body: { certificate: other.pem },
    })
    assert.equal(replaced.status, 403, replaced.text)
    const armed = await server.ask(RESOURCE, {
      method: 'PUT',
      headers: { ...headers, authorization: `Bearer ${server.token}` },
      body: { properties: { certificate: other.pem } },
    })
    assert.equal(armed.status, 403, armed.text)
    assert.equal((await server.operate(`/hubs/${HUB}/authorities/root`)).json.sha256, sha256)
  })

  test('vouches for a key that was not proven', async (t) => {
    const { server } = await site(t)
    const other = await makeRoot('Mallory Root')
    const body = { certificate: other.pem, verified: true }
    const vouched = await server.operate(`/hubs/${HUB}/authorities/mallory`, { method: 'PUT', body })
    assert.equal(vouched.status, 403, vouched.text)
    const armed = await server.ask(RESOURCE.replace(/root$/, 'mallory'), {
      method: 'PUT',
      headers: { authorization: `Bearer ${server.token}` },
      body: { properties: { certificate: other.pem, isVerified: true } },
    })
    assert.equal(armed.status, 403, armed.text)
  })

  test('is kept from revoking one device', async (t) => {
    const { server, root } = await site(t)
    const line = await makeIntermediate(root, 'Line')
    const { der } = await makeDevice(line, 'pump', [line])
    const body = { thumbprint: parseCertificate(der).sha256 }
    assert.equal((await server.operate(`/hubs/${HUB}/revocations`, { method: 'POST', body })).status, 200)
  })
})
