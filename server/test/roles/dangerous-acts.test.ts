import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { DANGEROUS_ACTS } from '../../src/model/dangerous-act.ts'
import type { DangerousActName } from '../../src/model/dangerous-act.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority } from '../http/certificates.ts'
import { PROVISIONING_HOST, startServer } from '../http/running-server.ts'
import type { Reply, RunningServer } from '../http/running-server.ts'
import { startWithRoutes } from './routes.ts'
import { done, firstApprover, waitingId } from './team.ts'

/** First label of the host. */
const [SERVICE = ''] = PROVISIONING_HOST.split('.')
const ARM = '/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices'
const ARM_HUB =
  '/subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/certificates/:certificate'
const ARM_DPS = ARM_HUB.replace('IotHubs', 'provisioningServices')

interface Case {
  readonly act: DangerousActName
  /** As the framework has it. */
  readonly route: string
  readonly path: string
  readonly body?: object
  readonly ifMatch?: string
}

/** Acts that routes state and that ask nobody: they concern one device, or cut nobody off. */
const HARMLESS = [
  'approval.approve',
  'approval.deny',
  'audit.checkpoint',
  'authority.issue-code',
  'authority.prove',
  'backup.take',
  'consumer-group.create',
  'consumer-group.delete',
  'crl.import',
  'device.bulk',
  'device.change',
  'device.delete',
  'device.put',
  'device.release',
  'device.set-duplicates',
  'enrollment-group.show-keys',
  'enrollment.bulk',
  'enrollment.delete',
  'enrollment.put',
  'enrollment.show-keys',
  'keys.reseal',
  'keys.rotate-data',
  'operator.renew-token',
  'operator.revoke',
  'operator.revoke-credential',
  'policy.rotate',
  'policy.show-keys',
  'registration.delete',
  'server-certificate.renew',
  'webhook.add',
  'webhook.delete',
  'webhook.enable',
]

test('every dangerous act asks, by every route of every API that can do it, and nothing is done', async (t) => {
  const { server, routes } = await startWithRoutes(t, { management: { secondPerson: true } })
  const plant = await furnish(server)
  const cases = casesOf(plant, SERVICE)
  const before = await snapshot(server)
  for (const each of cases) {
    const reply = await ask(server, each)
    const what = `${each.act} by ${each.route}`
    assert.equal(reply.status, 403, `${what}: ${reply.text}`)
    const id = waitingId(reply)
    const { value } = (await server.operate('/approvals')).json
    const waiting = value.find((one: { id: string }) => one.id === id)
    assert.deepEqual([waiting?.act, waiting?.does], [each.act, DANGEROUS_ACTS[each.act]], what)
    assert.match(waiting.cutsOff, /^\S.*\.$/, what)
  }
  assert.equal(await snapshot(server), before)
  assert.deepEqual([...new Set(cases.map(({ act }) => act))].toSorted(), Object.keys(DANGEROUS_ACTS).toSorted())

  const stated = routes.flatMap(({ method, url, access }) =>
    access !== undefined && 'act' in access && access.act !== undefined
      ? [{ route: `${method} ${url}`, act: access.act.name, kind: access.kind }]
      : [],
  )
  const dangerous = stated.filter(({ act }) => !HARMLESS.includes(act))
  const asked = new Set(cases.map(({ route }) => route))
  assert.deepEqual(
    [...new Set(dangerous.filter(({ kind }) => kind === 'operator').map(({ route }) => route))].toSorted(),
    [...asked].toSorted(),
    'a route that is new must be tried above, or its act be called harmless',
  )
})

test('a service, whose key several people may know, cannot ask for a dangerous act', async (t) => {
  const server = await startServer(t, {}, { settings: { management: { secondPerson: true } } })
  await furnish(server)
  const before = await snapshot(server)
  const authorization = await provisioningToken(server)
  const service = (path: string, method: string, body?: object) =>
    server.ask(`${path}?api-version=2021-10-01`, {
      host: PROVISIONING_HOST,
      method,
      headers: { authorization, 'if-match': '*' },
      ...(body && { body }),
    })
  const disabled = { enrollmentGroupId: 'line', attestation: { type: 'symmetricKey' }, provisioningStatus: 'disabled' }
  for (const reply of [
    await service('/enrollmentGroups/line', 'DELETE'),
    await service('/enrollmentGroups/line', 'PUT', disabled),
    await service('/enrollmentGroups', 'POST', { mode: 'update', enrollmentGroups: [disabled] }),
    await service('/enrollmentGroups', 'POST', { mode: 'delete', enrollmentGroups: [{ enrollmentGroupId: 'line' }] }),
  ]) {
    assert.ok(reply.status === 403 || reply.status === 401, `${reply.status} ${reply.text}`)
    assert.match(reply.text, /second person, and an access policy is nobody/)
  }
  assert.deepEqual((await server.operate('/approvals')).json.value, [])
  assert.equal(await snapshot(server), before)
  // What cuts nobody off needs nobody.
  const added = { enrollmentGroupId: 'other', attestation: { type: 'symmetricKey' } }
  assert.equal((await service('/enrollmentGroups', 'POST', { mode: 'create', enrollmentGroups: [added] })).status, 200)
})

test('without the setting nobody is asked', async (t) => {
  const server = await startServer(t)
  const plant = await furnish(server, false)
  for (const each of casesOf(plant, SERVICE)) {
    const reply = await ask(server, each)
    assert.ok(!reply.text.includes('second person'), `${each.act} by ${each.route}: ${reply.text}`)
  }
})

interface Plant {
  readonly root: TestAuthority
  readonly other: TestAuthority
  readonly held: TestAuthority
  readonly heldId: string
  readonly operatorCertificate: string
}

/** A hub with a CA, one on hold, a group and a rule to weaken; and who can approve. */
async function furnish(server: RunningServer, isStrict = true): Promise<Plant> {
  const [root, other] = [await makeRoot('Line'), await makeRoot('Other')]
  const held = await makeIntermediate(root, 'Held')
  const operatorCertificate = (await makeDevice(await makeRoot('Staff'), 'sofia')).cert
  await server.operate('/hubs/plant/authorities/line', { method: 'PUT', body: { certificate: root.pem } })
  await server.operate('/enrollment-groups/line', {
    method: 'PUT',
    body: { attestation: { type: 'symmetricKey' }, sealed: 'verify' },
  })
  const rule = { authority: root.pem, policy: 'require' }
  assert.equal((await server.operate('/hubs/plant/revocation-rules', { method: 'PUT', body: rule })).status, 200)
  const hold = {
    path: '/hubs/plant/revocations',
    method: 'POST',
    body: { authority: held.pem, reason: 'certificateHold' },
  }
  if (isStrict) await done(server, hold, await firstApprover(server))
  else {
    assert.equal((await server.operate(hold.path, hold)).status, 200)
    assert.equal(
      (await server.operate('/operators/sofia', { method: 'PUT', body: { role: 'security-officer' } })).status,
      200,
    )
  }
  const [{ id: heldId }] = (await server.operate('/hubs/plant/revocations')).json.value
  return { root, other, held, heldId, operatorCertificate }
}

// Longer than the habit: a table.
function casesOf({ root, other, heldId, operatorCertificate }: Plant, service: string): readonly Case[] {
  const operator = (act: DangerousActName, route: string, path: string, more: Partial<Case> = {}): Case => {
    const [method = ''] = route.split(' ')
    return { act, route: route.replace(' ', ' /holdfast/v1'), path: `${method} /holdfast/v1${path}`, ...more }
  }
  const arm = (act: DangerousActName, method: string, more: Partial<Case> = {}): readonly Case[] => [
    { act, route: `${method} ${ARM_HUB}`, path: `${method} ${ARM}/IotHubs/plant/certificates/line`, ...more },
    {
      act,
      route: `${method} ${ARM_DPS}`,
      path: `${method} ${ARM}/provisioningServices/${service}/certificates/line`,
      ...more,
    },
  ]
  const [put, one] = ['PUT /hubs/:hub/authorities/:name', '/hubs/plant/authorities/line']
  const revoke = (body: object): Case =>
    operator('authority.revoke', 'POST /hubs/:hub/revocations', '/hubs/plant/revocations', { body })
  const rule = (body: object): Case =>
    operator('revocation-rule.weaken', 'PUT /hubs/:hub/revocation-rules', '/hubs/plant/revocation-rules', {
      body: { authority: root.pem, ...body },
    })
  const group = (act: DangerousActName, body: object): Case =>
    operator(act, 'PUT /enrollment-groups/:id', '/enrollment-groups/line', { ifMatch: '*', body })
  const key = Buffer.alloc(32, 7).toString('base64')
  const attestation = { type: 'symmetricKey' }
  return [
    operator('authority.delete', 'DELETE /hubs/:hub/authorities/:name', one),
    operator('authority.replace', put, one, { ifMatch: '*', body: { certificate: other.pem } }),
    operator('authority.vouch', put, '/hubs/plant/authorities/new', {
      body: { certificate: other.pem, verified: true },
    }),
    ...arm('authority.delete', 'DELETE', { ifMatch: '*' }),
    ...arm('authority.replace', 'PUT', { ifMatch: '*', body: { properties: { certificate: other.pem } } }),
    ...arm('authority.vouch', 'PUT', {
      ifMatch: '*',
      body: { properties: { certificate: other.pem, isVerified: true } },
    }),
    revoke({ authority: root.pem }),
    revoke({ certificate: root.pem }),
    revoke({ thumbprint: parseCertificate(root.der).sha256 }),
    revoke({ issuer: root.pem, serial: parseCertificate(root.der).serialHex }),
    operator('authority.lift', 'POST /hubs/:hub/revocations/lift', '/hubs/plant/revocations/lift', {
      body: { id: heldId },
    }),
    rule({ policy: 'off' }),
    rule({ policy: 'prefer' }),
    operator('enrollment-group.delete', 'DELETE /enrollment-groups/:id', '/enrollment-groups/line'),
    group('enrollment-group.disable', { attestation, provisioningStatus: 'disabled' }),
    group('enrollment-group.reroot', {
      attestation: { ...attestation, symmetricKey: { primaryKey: key, secondaryKey: key } },
    }),
    group('enrollment-group.unseal', { attestation, sealed: 'off' }),
    operator('keys.rotate-kek', 'POST /keys/kek/rotate', '/keys/kek/rotate', { body: {} }),
    operator('keys.erase', 'POST /hubs/:hub/devices/:deviceId/erase-events', '/hubs/plant/devices/gone/erase-events'),
    operator('audit.prune', 'POST /audit/prune', '/audit/prune', { body: { upTo: 1, sha256: 'a'.repeat(64) } }),
    operator('operator.create', 'PUT /operators/:name', '/operators/rita', { body: { role: 'reader' } }),
    operator('operator.issue-token', 'POST /operators/:name/tokens', '/operators/sofia/tokens', { body: {} }),
    operator('operator.add-certificate', 'POST /operators/:name/certificates', '/operators/sofia/certificates', {
      body: { certificate: operatorCertificate },
    }),
  ]
}

async function ask(server: RunningServer, { path, body, ifMatch }: Case): Promise<Reply> {
  const [method = '', url = ''] = path.split(' ')
  const version = url.startsWith('/holdfast') ? '' : '?api-version=2021-04-12'
  return server.ask(`${url}${version}`, {
    method,
    headers: { authorization: `Bearer ${server.token}`, ...(ifMatch && { 'if-match': ifMatch }) },
    ...(body && { body }),
  })
}

/** Everything that a dangerous act could have changed. */
async function snapshot(server: RunningServer): Promise<string> {
  const paths = [
    '/hubs/plant/authorities',
    '/hubs/plant/revocations',
    '/hubs/plant/revocation-rules',
    '/enrollment-groups',
    '/enrollment-groups/line/attestation',
    '/operators',
    '/keys',
    '/audit/segments',
  ]
  return (await Promise.all(paths.map(async (path) => (await server.operate(path)).text))).join('\n')
}

async function provisioningToken(server: RunningServer): Promise<string> {
  const { value } = (await server.operate('/provisioning/policies')).json
  const name = 'provisioningserviceowner'
  const { primaryKey } = value.find((policy: { name: string }) => policy.name === name)
  const [resource, expiry] = [encodeURIComponent(PROVISIONING_HOST), Math.floor(Date.now() / 1000) + 3600]
  const signature = createHmac('sha256', Buffer.from(primaryKey, 'base64'))
    .update(`${resource}\n${expiry}`)
    .digest('base64')
  return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=${name}`
}
