import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { PROVISIONING_HOST } from '../e2e/whole-server.ts'
import type { TestIdentity } from '../http/certificates.ts'
import { keepAlive, makeIdentity, openSite, PLANT, report } from './site.ts'
import type { Site } from './site.ts'

async function register(site: Site, id: string, { cert, key }: TestIdentity): Promise<number> {
  const { operator, ports } = site
  const body = JSON.stringify({ registrationId: id })
  const outgoing = request({
    method: 'PUT',
    host: PROVISIONING_HOST,
    port: ports.https,
    path: `/${operator.idScope}/registrations/${id}/register?api-version=2021-06-01`,
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    ca: operator.ca,
    cert,
    key,
    agent: false,
  })
  outgoing.end(body)
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  answer.resume()
  return answer.statusCode ?? 0
}

test('registering again, with a new certificate even, is no way out of quarantine', async (t) => {
  const site = await openSite(t, { duplicates: 'quarantine' })
  await site.operator.enrollGroup('line', {
    attestation: { type: 'x509', x509: { caReferences: { primary: 'root' } } },
    reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: false },
  })
  const identity = await makeIdentity(site.root, 'press-1')
  assert.equal(await register(site, 'press-1', identity), 200)
  const older = await site.live('press-1', identity)
  keepAlive(older)
  await site.dial('press-1', identity)
  await older.closed

  for (const shown of [identity, await makeIdentity(site.root, 'press-1')])
    assert.equal(await register(site, 'press-1', shown), 401)
  const refusal = await site.operator.refusal({ identity: 'press-1', rule: 'device-quarantined' })
  assert.equal(refusal.area, 'provisioning')
  await site.release('press-1')
  assert.equal(await register(site, 'press-1', identity), 200)
  await report(await site.live('press-1', identity), 'press-1')
})

test('the policy of a device stays with it when it registers again', async (t) => {
  const site = await openSite(t)
  await site.operator.enrollGroup('line', {
    attestation: { type: 'x509', x509: { caReferences: { primary: 'root' } } },
    reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: false },
  })
  const identity = await makeIdentity(site.root, 'press-1')
  await register(site, 'press-1', identity)
  await site.setPolicy('press-1', 'refuse-new')
  assert.equal(await register(site, 'press-1', await makeIdentity(site.root, 'press-1')), 200)
  const shown = (await site.operator.device(PLANT, 'press-1')) as unknown as Record<string, unknown>
  assert.equal(shown['duplicates'], 'refuse-new')
})
