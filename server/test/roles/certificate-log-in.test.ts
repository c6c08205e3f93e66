import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { startServer } from '../http/running-server.ts'
import type { Reply, RunningServer } from '../http/running-server.ts'
import { makeCrl } from '../revocation/crls.ts'

const DAY_MS = 24 * 60 * 60 * 1000

interface Staffed {
  readonly server: RunningServer
  readonly root: TestAuthority
  readonly grace: TestIdentity
  readonly status: () => Promise<Reply>
}

/** A server with an operator who logs in by a certificate of a CA of its own. */
async function staffed(t: TestContext, lifetime = 10 * DAY_MS): Promise<Staffed> {
  const server = await startServer(t)
  const root = await makeRoot('Operators')
  const staff = await makeIntermediate(root, 'Staff')
  const grace = await makeDevice(staff, 'grace', [staff], lifetime)
  assert.equal((await server.operate('/operators/grace', { method: 'PUT', body: { role: 'reader' } })).status, 200)
  const body = { certificate: grace.der.toString('base64') }
  const added = await server.operate('/operators/grace/certificates', { method: 'POST', body })
  assert.equal(added.status, 201, added.text)
  const status = () => server.ask('/holdfast/v1/status', { identity: grace })
  assert.equal((await status()).status, 200)
  return { server, root, grace, status }
}

async function shutOut({ server, status }: Staffed, rule: string, message: RegExp): Promise<void> {
  const reply = await status()
  assert.equal(reply.status, 401, reply.text)
  assert.equal(reply.json.error.code, 'unauthorized')
  assert.match(reply.json.error.message, message)
  const { value } = (await server.operate(`/refusals?identity=${encodeURIComponent('management: grace')}`)).json
  assert.equal(value[0]?.rule, rule)
  assert.match(value[0]?.message, message)
}

test('a certificate lets its operator in between its two dates, and the refusal says so', async (t) => {
  const some = await staffed(t, 2 * DAY_MS)
  some.server.skew = -DAY_MS
  await shutOut(some, 'certificate-not-yet-valid', /"CN=grace" is valid only from .* too early/)
  some.server.skew = 3 * DAY_MS
  await shutOut(some, 'certificate-expired', /"CN=grace" expired at .* too late/)
  some.server.skew = 0
  assert.equal((await some.status()).status, 200)
})

test('revoking it by thumbprint, by issuer and serial, or itself shuts an operator out', async (t) => {
  for (const target of [
    ({ grace }: Staffed) => ({ thumbprint: parseCertificate(grace.der).sha256 }),
    ({ grace }: Staffed) => ({ thumbprint: parseCertificate(grace.der).sha1 }),
    ({ grace }: Staffed) => ({ certificate: Buffer.from(grace.der).toString('base64') }),
  ]) {
    const some = await staffed(t)
    // At the second hub: an operator is the server's.
    const path = '/hubs/depot/revocations'
    assert.equal((await some.server.operate(path, { method: 'POST', body: target(some) })).status, 200)
    await shutOut(some, 'chain:revoked', /revoked/)
  }
})

test('the serial of it at its issuer shuts an operator out', async (t) => {
  const some = await staffed(t)
  const [, issuer = ''] = some.grace.cert.split(/(?<=-----END CERTIFICATE-----\n)/)
  const body = { issuer, serial: parseCertificate(some.grace.der).serialHex }
  assert.equal((await some.server.operate('/hubs/plant/revocations', { method: 'POST', body })).status, 200)
  await shutOut(some, 'chain:revoked', /revoked/)
})

test('revoking the CA that issued it shuts an operator out, when the CA is registered', async (t) => {
  const some = await staffed(t)
  const register = { certificate: some.root.pem, verified: true }
  const put = await some.server.operate('/hubs/plant/authorities/operators', { method: 'PUT', body: register })
  assert.equal(put.status, 200)
  assert.equal((await some.status()).status, 200)
  const body = { authority: some.root.pem }
  assert.equal((await some.server.operate('/hubs/plant/revocations', { method: 'POST', body })).status, 200)
  await shutOut(some, 'chain:revoked', /revoked/)
})

test('a CRL of the CA that issued it shuts an operator out', async (t) => {
  const server = await startServer(t)
  const root = await makeRoot('Operators')
  const grace = await makeDevice(root, 'grace')
  await server.operate('/operators/grace', { method: 'PUT', body: { role: 'reader' } })
  await server.operate('/operators/grace/certificates', { method: 'POST', body: { certificate: grace.cert } })
  const register = { certificate: root.pem, verified: true }
  await server.operate('/hubs/plant/authorities/operators', { method: 'PUT', body: register })
  const status = () => server.ask('/holdfast/v1/status', { identity: grace })
  assert.equal((await status()).status, 200)
  const crl = await makeCrl(root, { number: 1, revoked: [grace.der] })
  const imported = await server.operate('/hubs/plant/crls', {
    method: 'POST',
    body: { crl: Buffer.from(crl).toString('base64') },
  })
  assert.equal(imported.status, 200, imported.text)
  await shutOut({ server, root, grace, status }, 'chain:revoked', /CRL/)
})
