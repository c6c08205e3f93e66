import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { setDefaultCACertificates } from 'node:tls'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { IotDpsClient } from '@azure/arm-deviceprovisioningservices'
import { IotHubClient } from '@azure/arm-iothub'
import { makeDevice, makeProof, makeRoot } from './certificates.ts'
import type { TestAuthority } from './certificates.ts'
import { HUB, OTHER_HUB, startServer } from './running-server.ts'
import type { RunningServer } from './running-server.ts'
import { without } from '../../../test/foreign-program.ts'

/** Any subscription and any resource group will do. */
const GROUP = 'any-group'

function clientsOf(server: RunningServer, token = server.token) {
  // These SDKs take no CA of their own: the process is made to trust the server's.
  setDefaultCACertificates([server.rootPem])
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) }
  const options = { endpoint: `https://localhost:${server.port}`, retryOptions: { maxRetries: 0 } }
  return {
    hubs: new IotHubClient(credential, 'any-subscription', options),
    services: new IotDpsClient(credential, 'any-subscription', options),
  }
}

const base64 = ({ pem }: TestAuthority) => Buffer.from(pem).toString('base64')

test('a CA is uploaded, proven and deleted through the hub', async (t) => {
  const server = await startServer(t)
  const { certificates } = clientsOf(server).hubs
  const root = await makeRoot('Plant root')

  const created = await certificates.createOrUpdate(GROUP, 'plant', 'root', {
    properties: { certificate: base64(root) },
  })
  assert.equal(created.properties?.isVerified, false)
  assert.equal(created.properties?.subject, 'CN=Plant root')
  assert.match(created.properties?.thumbprint ?? '', /^[0-9A-F]{40}$/)
  assert.ok(created.properties?.expiry instanceof Date)
  assert.ok(created.etag)

  const coded = await certificates.generateVerificationCode(GROUP, 'plant', 'root', created.etag)
  const code = coded.properties?.verificationCode ?? ''
  assert.match(code, /^[0-9A-F]{40,64}$/)
  assert.notEqual(coded.etag, created.etag)
  // Only the answer to the request for it shows the code.
  const shown = await certificates.get(GROUP, 'plant', 'root')
  assert.equal(JSON.stringify(shown).includes(code), false)

  const proof = { certificate: (await makeProof(root, code)).toString('base64') }
  const verified = await certificates.verify(GROUP, 'plant', 'root', coded.etag ?? '', proof)
  assert.equal(verified.properties?.isVerified, true)
  const list = await certificates.listByIotHub(GROUP, 'plant')
  assert.deepEqual(
    list.value?.map(({ name, properties }) => [name, properties?.isVerified]),
    [['root', true]],
  )
  // The hub's register is its own.
  assert.deepEqual((await certificates.listByIotHub(GROUP, 'depot')).value, [])
  await certificates.delete(GROUP, 'plant', 'root', verified.etag ?? '')
  await assert.rejects(certificates.get(GROUP, 'plant', 'root'), { statusCode: 404, code: 'CertificateNotFound' })
})

test('one proof serves the hub and the provisioning service', async (t) => {
  const server = await startServer(t)
  const { hubs, services } = clientsOf(server)
  const root = await makeRoot('Plant root')
  const certificates = services.dpsCertificate

  const body = { properties: { certificate: Buffer.from(root.pem) } }
  const created = await certificates.createOrUpdate(GROUP, 'dps', 'root', body)
  const coded = await certificates.generateVerificationCode('root', created.etag ?? '', GROUP, 'dps')
  const proof = (await makeProof(root, coded.properties?.verificationCode ?? '')).toString('base64')
  const verified = await certificates.verifyCertificate('root', coded.etag ?? '', GROUP, 'dps', { certificate: proof })
  assert.equal(verified.properties?.isVerified, true)
  assert.deepEqual(Buffer.from(verified.properties?.certificate ?? []), root.der)

  assert.equal((await hubs.certificates.get(GROUP, 'plant', 'root')).properties?.isVerified, true)
  assert.equal((await certificates.list(GROUP, 'dps')).value?.length, 1)
  assert.equal((await certificates.get('root', GROUP, 'dps')).name, 'root')
  await certificates.delete(GROUP, verified.etag ?? '', 'dps', 'root')
  await assert.rejects(hubs.certificates.get(GROUP, 'plant', 'root'), { statusCode: 404 })
})

test('a proof is refused for what is wrong with it, and the refusal is kept', async (t) => {
  const server = await startServer(t)
  const { certificates } = clientsOf(server).hubs
  const root = await makeRoot('Plant root')
  const namesake = await makeRoot('Plant root')
  const created = await certificates.createOrUpdate(GROUP, 'plant', 'root', {
    properties: { certificate: base64(root) },
  })
  const first = await certificates.generateVerificationCode(GROUP, 'plant', 'root', created.etag ?? '')
  const second = await certificates.generateVerificationCode(GROUP, 'plant', 'root', first.etag ?? '')
  const code = second.properties?.verificationCode ?? ''
  const verify = (etag: string | undefined, proof: Uint8Array) =>
    certificates.verify(GROUP, 'plant', 'root', etag ?? '', { certificate: Buffer.from(proof).toString('base64') })
  const unproven = { statusCode: 400, code: 'ProofOfPossessionFailed' }

  await assert.rejects(verify(second.etag, await makeProof(root, 'ANOTHER-CODE')), unproven)
  await assert.rejects(verify(second.etag, await makeProof(root, first.properties?.verificationCode ?? '')), unproven)
  await assert.rejects(verify(second.etag, await makeProof(namesake, code)), unproven)
  await assert.rejects(verify(first.etag, await makeProof(root, code)), { statusCode: 412 })
  server.skew = 61_000
  await assert.rejects(verify(second.etag, await makeProof(root, code)), unproven)
  server.skew = 0
  const verified = await verify(second.etag, await makeProof(root, code))
  assert.equal(verified.properties?.isVerified, true)
  await assert.rejects(verify(verified.etag, await makeProof(root, code)), unproven)

  const kept = await server.operate('/refusals?rule=possession-refused&wait=5')
  const [refusal] = kept.json.value
  assert.deepEqual([refusal.area, refusal.hub, refusal.identity], ['certificate-authority', 'plant', 'root'])
  assert.equal(refusal.peer.address, '127.0.0.1')
})

test('an upload is refused when it is no CA, unreadable, stale or one too many of its name', async (t) => {
  const server = await startServer(t)
  const { certificates } = clientsOf(server).hubs
  const root = await makeRoot('Plant root')
  const put = (certificate: string, ifMatch?: string) =>
    certificates.createOrUpdate(GROUP, 'plant', 'root', { properties: { certificate } }, ifMatch ? { ifMatch } : {})

  const leaf = await makeDevice(root, 'leaf')
  await assert.rejects(put(leaf.der.toString('base64')), { statusCode: 400, code: 'CertificateRefused' })
  await assert.rejects(put('AAAA'), { statusCode: 400, code: 'BadRequest' })
  await assert.rejects(put(Buffer.from(root.pem + root.pem).toString('base64')), { statusCode: 400 })
  const created = await put(base64(root))
  await assert.rejects(put(base64(await makeRoot('Other root'))), { statusCode: 412 })
  const replaced = await put(base64(await makeRoot('New root')), created.etag)
  await assert.rejects(put(base64(root), created.etag), { statusCode: 412 })
  assert.equal(replaced.properties?.subject, 'CN=New root')
  await assert.rejects(certificates.delete(GROUP, 'plant', 'root', 'stale'), { statusCode: 412 })
})

test('an upload is refused when its time is over', async (t) => {
  const server = await startServer(t)
  const { certificates } = clientsOf(server).hubs
  const certificate = base64(await makeRoot('Plant root', Date.UTC(2024, 0, 1)))
  const upload = certificates.createOrUpdate(GROUP, 'plant', 'root', { properties: { certificate } })
  await assert.rejects(upload, { statusCode: 400, code: 'CertificateRefused', message: /expired/i })
})

test('an upload is refused when its key or its signature is weak', { skip: without('openssl') }, async (t) => {
  const server = await startServer(t)
  const { certificates } = clientsOf(server).hubs
  const weak: [string[], RegExp][] = [
    [['-newkey', 'rsa:1024'], /1024/],
    [['-newkey', 'rsa:2048', '-sha1'], /sha-?1/i],
  ]
  const request = 'req -x509 -nodes -keyout /dev/null -days 30 -addext basicConstraints=critical,CA:TRUE'.split(' ')
  request.push('-subj', '/CN=Plant root')
  for (const [options, message] of weak) {
    const { stdout: certificate } = await promisify(execFile)('openssl', [...request, ...options])
    const upload = certificates.createOrUpdate(GROUP, 'plant', 'root', { properties: { certificate } })
    await assert.rejects(upload, { statusCode: 400, code: 'CertificateRefused', message })
  }
  assert.deepEqual((await certificates.listByIotHub(GROUP, 'plant')).value, [])
})

test('certificates come as PEM, base64 of PEM or DER, or encoded twice', async (t) => {
  const server = await startServer(t)
  const { certificates } = clientsOf(server).hubs
  const root = await makeRoot('Plant root')
  const der = root.der.toString('base64')
  for (const certificate of [root.pem, base64(root), der, Buffer.from(der).toString('base64')]) {
    const { etag, properties } = await certificates.createOrUpdate(GROUP, 'plant', 'root', {
      properties: { certificate },
    })
    assert.equal(properties?.certificate, der)
    await certificates.delete(GROUP, 'plant', 'root', etag ?? '')
  }
})

test('an operator may vouch for a CA', async (t) => {
  const server = await startServer(t)
  const { certificates } = clientsOf(server).hubs
  const properties = { certificate: base64(await makeRoot('Plant root')), isVerified: true }
  const created = await certificates.createOrUpdate(GROUP, 'plant', 'root', { properties })
  assert.equal(created.properties?.isVerified, true)
})

test('the hub and the provisioning service are described, with their keys', async (t) => {
  const server = await startServer(t)
  const { hubs, services } = clientsOf(server)
  const hub = await hubs.iotHubResource.get(GROUP, 'plant')
  assert.equal(hub.properties?.hostName, 'plant.test')
  assert.deepEqual(hub.properties?.eventHubEndpoints?.['events'], {
    retentionTimeInDays: 1,
    partitionCount: 2,
    partitionIds: ['0', '1'],
    path: 'plant',
    endpoint: `sb://plant.test:${server.amqpPort}/`,
  })
  const names: (string | undefined)[] = []
  for await (const { name } of hubs.iotHubResource.listBySubscription()) names.push(name)
  assert.deepEqual(names, [HUB, OTHER_HUB])
  const rights = new Map<string, string>()
  for await (const key of hubs.iotHubResource.listKeys(GROUP, 'plant')) rights.set(key.keyName, key.rights)
  assert.equal(rights.get('iothubowner'), 'RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect')
  const key = await hubs.iotHubResource.getKeysForKeyName(GROUP, 'plant', 'service')
  assert.ok((key.primaryKey ?? '').length > 40)
  const availability = await hubs.iotHubResource.checkNameAvailability({ name: 'plant' })
  assert.deepEqual([availability.nameAvailable, availability.reason], [false, 'AlreadyExists'])

  const service = await services.iotDpsResource.get('dps', GROUP)
  assert.equal(service.properties.idScope, server.idScope)
  assert.equal(service.properties.iotHubs?.length, 2)
  const owner = await services.iotDpsResource.listKeysForKeyName('dps', 'provisioningserviceowner', GROUP)
  assert.ok((owner.primaryKey ?? '').length > 40)
  await assert.rejects(hubs.iotHubResource.get(GROUP, 'elsewhere'), { statusCode: 404, code: 'ResourceNotFound' })
})

test('consumer groups are made, listed and deleted', async (t) => {
  const server = await startServer(t)
  const { iotHubResource } = clientsOf(server).hubs
  const body = { properties: { name: 'audit' } }
  const made = await iotHubResource.createEventHubConsumerGroup(GROUP, 'plant', 'events', 'audit', body)
  assert.equal(made.name, 'audit')
  const names: (string | undefined)[] = []
  for await (const { name } of iotHubResource.listEventHubConsumerGroups(GROUP, 'plant', 'events')) names.push(name)
  assert.deepEqual(names, ['$Default', 'audit'])
  await iotHubResource.deleteEventHubConsumerGroup(GROUP, 'plant', 'events', 'audit')
  await assert.rejects(iotHubResource.getEventHubConsumerGroup(GROUP, 'plant', 'events', 'audit'), { statusCode: 404 })
})

test('another token opens nothing', async (t) => {
  const server = await startServer(t)
  const { certificates } = clientsOf(server, 'holdfast_wrong').hubs
  await assert.rejects(certificates.listByIotHub(GROUP, 'plant'), { statusCode: 401, code: 'AuthenticationFailed' })
})
