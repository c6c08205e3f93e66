import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProvisioningServiceClient } from 'azure-iot-provisioning-service'
import { makeDevice, makeIntermediate, makeRoot } from './certificates.ts'
import { lead, PROVISIONING_HOST, startServer } from './running-server.ts'
import type { RunningServer } from './running-server.ts'

async function clientOf(server: RunningServer): Promise<ProvisioningServiceClient> {
  const client = ProvisioningServiceClient.fromConnectionString(await server.provisioningConnectionString())
  lead(client, '_restApiClient', server.agent())
  return client
}

const KEY = Buffer.alloc(32, 7).toString('base64')

test('an X.509 individual enrollment is made, updated by what came back, and deleted', async (t) => {
  const server = await startServer(t)
  const client = await clientOf(server)
  const device = await makeDevice(await makeRoot('Plant root'), 'pump-1')

  const created = (
    await client.createOrUpdateIndividualEnrollment({
      registrationId: 'Pump-1',
      deviceId: 'pump',
      attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: device.cert } } } },
      initialTwin: { tags: { a: 1 }, properties: { desired: { b: 2 } } },
    } as never)
  ).responseBody
  assert.equal(created.registrationId, 'pump-1')
  assert.match(created.etag ?? '', /^".+"$/)
  const info = created.attestation.x509?.clientCertificates?.primary?.info
  assert.equal(info?.subjectName, 'CN=pump-1')

  const { etag: _etag, ...withoutEtag } = created
  await assert.rejects(client.createOrUpdateIndividualEnrollment(withoutEtag as never), {
    name: 'DeviceAlreadyExistsError',
  })
  const updated = (await client.createOrUpdateIndividualEnrollment({ ...created, provisioningStatus: 'disabled' }))
    .responseBody
  assert.equal(updated.provisioningStatus, 'disabled')
  assert.equal(updated.attestation.x509?.clientCertificates?.primary?.info?.sha256Thumbprint, info?.sha256Thumbprint)
  assert.deepEqual((await client.getIndividualEnrollment('PUMP-1')).responseBody, updated)
  await assert.rejects(client.createOrUpdateIndividualEnrollment({ ...created }), { name: 'InvalidEtagError' })

  await client.deleteIndividualEnrollment(updated)
  await assert.rejects(client.getIndividualEnrollment('pump-1'), { message: 'Not found' })
})

test('symmetric keys are shown by the attestation mechanism alone', async (t) => {
  const server = await startServer(t)
  const client = await clientOf(server)
  const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } }
  const made = await client.createOrUpdateIndividualEnrollment({ registrationId: 'k', attestation } as never)
  assert.equal(made.responseBody.attestation.symmetricKey?.primaryKey, '')
  const mechanism = (await client.getIndividualEnrollmentAttestationMechanism('k')).responseBody
  assert.equal(mechanism.symmetricKey?.primaryKey, KEY)

  await client.createOrUpdateEnrollmentGroup({ enrollmentGroupId: 'G', attestation } as never)
  const groupMechanism = (await client.getEnrollmentGroupAttestationMechanism('G')).responseBody
  assert.equal(groupMechanism.symmetricKey?.secondaryKey, KEY)
})

test('a group takes certificates as PEM, base64 of PEM and base64 of DER', async (t) => {
  const server = await startServer(t)
  const client = await clientOf(server)
  const intermediate = await makeIntermediate(await makeRoot('Plant root'), 'Plant line 1')
  const forms = [
    intermediate.pem,
    Buffer.from(intermediate.pem).toString('base64'),
    intermediate.der.toString('base64'),
  ]
  for (const [index, certificate] of forms.entries()) {
    const group = (
      await client.createOrUpdateEnrollmentGroup({
        enrollmentGroupId: `line-${index}`,
        attestation: { type: 'x509', x509: { signingCertificates: { primary: { certificate } } } },
      } as never)
    ).responseBody
    assert.equal(group.attestation.x509?.signingCertificates?.primary?.info?.subjectName, 'CN=Plant line 1')
    await client.deleteEnrollmentGroup(group)
  }
})

test('a group is made, got, updated by its etag, refused by a stale one, listed and deleted', async (t) => {
  const server = await startServer(t)
  const client = await clientOf(server)
  const { pem: certificate } = await makeIntermediate(await makeRoot('Plant root'), 'Plant line 1')
  const attestation = { type: 'x509', x509: { signingCertificates: { primary: { certificate } } } }
  const draft = { enrollmentGroupId: 'Line-1', attestation, provisioningStatus: 'enabled' }
  const created = (await client.createOrUpdateEnrollmentGroup(draft as never)).responseBody
  assert.match(created.etag ?? '', /^".+"$/)
  assert.deepEqual((await client.getEnrollmentGroup('Line-1')).responseBody, created)
  await assert.rejects(client.createOrUpdateEnrollmentGroup(draft as never), { name: 'DeviceAlreadyExistsError' })

  const changed = { ...created, provisioningStatus: 'disabled' }
  const updated = (await client.createOrUpdateEnrollmentGroup(changed as never)).responseBody
  assert.equal(updated.provisioningStatus, 'disabled')
  assert.notEqual(updated.etag, created.etag)
  await assert.rejects(client.createOrUpdateEnrollmentGroup(changed as never), { name: 'InvalidEtagError' })
  await assert.rejects(client.deleteEnrollmentGroup(created), { name: 'InvalidEtagError' })
  const mechanism = (await client.getEnrollmentGroupAttestationMechanism('Line-1')).responseBody
  assert.equal(mechanism.type, 'x509')

  for (const id of ['line-2', 'line-3'])
    await client.createOrUpdateEnrollmentGroup({ ...draft, enrollmentGroupId: id } as never)
  const query = client.createEnrollmentGroupQuery({ query: 'SELECT * FROM enrollmentGroups' }, 2)
  const found: string[] = []
  do found.push(...(await next<{ enrollmentGroupId: string }>(query)).map(({ enrollmentGroupId }) => enrollmentGroupId))
  while (query.hasMoreResults)
  assert.deepEqual(found.toSorted(), ['line-1', 'line-2', 'line-3'])

  await client.deleteEnrollmentGroup(updated)
  await assert.rejects(client.getEnrollmentGroup('Line-1'), { message: 'Not found' })
})

test('queries page through everything and refuse conditions', async (t) => {
  const server = await startServer(t)
  const client = await clientOf(server)
  for (const registrationId of ['a', 'b', 'c', 'd', 'e'])
    await client.createOrUpdateIndividualEnrollment({ registrationId, attestation: { type: 'symmetricKey' } } as never)
  const query = client.createIndividualEnrollmentQuery({ query: 'SELECT * FROM enrollments' }, 2)
  const pages: string[][] = []
  do pages.push((await next(query)).map(({ registrationId }) => registrationId))
  while (query.hasMoreResults)
  assert.deepEqual(pages, [['a', 'b'], ['c', 'd'], ['e']])

  const filtered = client.createIndividualEnrollmentQuery({ query: "SELECT * FROM enrollments WHERE x = 'y'" })
  await assert.rejects(next(filtered), { name: 'ArgumentError' })
})

type EnrollmentQuery = ReturnType<ProvisioningServiceClient['createIndividualEnrollmentQuery']>

function next<Item = { registrationId: string }>(query: Pick<EnrollmentQuery, 'next'>): Promise<Item[]> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  query.next((error, result) => (error ? reject(error) : resolve(result)))
  return promise as Promise<Item[]>
}

test('a bulk operation reports each enrollment by itself', async (t) => {
  const server = await startServer(t)
  const client = await clientOf(server)
  const drafts = ['a', 'b'].map((registrationId) => ({ registrationId, attestation: { type: 'symmetricKey' } }))
  // The SDK's promise form never settles: its callback is what works.
  const run = (mode: string, enrollments: readonly object[]) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    client.runBulkEnrollmentOperation({ mode, enrollments } as never, (error, result) =>
      error ? reject(error) : resolve(result),
    )
    return promise as Promise<{ isSuccessful: boolean; errors: { registrationId: string; errorCode: number }[] }>
  }
  const stored = async (id: string) => (await client.getIndividualEnrollment(id)).responseBody
  const done = { isSuccessful: true, errors: [] }
  assert.deepEqual(await run('create', drafts), done)
  const again = await run('create', drafts)
  assert.equal(again.isSuccessful, false)
  assert.equal(again.errors.length, 2)

  const before = [await stored('a'), await stored('b')]
  assert.deepEqual(await run('update', [{ ...drafts[0], provisioningStatus: 'disabled' }]), done)
  assert.equal((await stored('a')).provisioningStatus, 'disabled')

  // The update has made one of the two etags stale.
  const byEtag = await run(
    'updateIfMatchETag',
    before.map((enrollment) => ({ ...enrollment, deviceId: 'renamed' })),
  )
  assert.equal(byEtag.isSuccessful, false)
  assert.deepEqual(
    byEtag.errors.map(({ registrationId, errorCode }) => [registrationId, Math.floor(errorCode / 1_000)]),
    [['a', 412]],
  )
  assert.notEqual((await stored('a')).deviceId, 'renamed')
  assert.equal((await stored('b')).deviceId, 'renamed')

  assert.deepEqual(await run('delete', drafts), done)
  await assert.rejects(stored('a'), { message: 'Not found' })
})

test('refusals have the body and the header of the service', async (t) => {
  const server = await startServer(t)
  const host = PROVISIONING_HOST
  const without = await server.ask('/enrollments/x?api-version=2021-10-01', { host })
  assert.equal(without.status, 401)
  assert.equal(without.headers['x-ms-error-code'], '401002')
  assert.match(without.json.trackingId, /^[0-9a-f]{32}$/)
  assert.match(without.json.timestampUtc, /Z$/)
  const unversioned = await server.ask('/enrollments/x', { host })
  assert.deepEqual([unversioned.status, unversioned.json.errorCode], [400, 400001])
})
