import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import deviceSdk from 'azure-iot-device'
import deviceMqtt from 'azure-iot-device-mqtt'
import provisioningSdk from 'azure-iot-provisioning-device'
import provisioningHttp from 'azure-iot-provisioning-device-http'
import x509Security from 'azure-iot-security-x509'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { deviceOf, readEverything } from './event-reading.ts'
import { DOMAIN } from './host-names.ts'
import { HUB, HUB_HOST, PROVISIONING_HOST, standardPortsMissing, startWholeServer } from './whole-server.ts'
import type { WholeServer } from './whole-server.ts'

const ADDRESS = '127.0.1.4'
const DEPOT = 'depot'
const DEPOT_HOST = `depot.${DOMAIN}`
const DEVICES = 12

async function send(host: string, id: string, identity: TestIdentity): Promise<void> {
  const client = deviceSdk.Client.fromConnectionString(`HostName=${host};DeviceId=${id};x509=true`, deviceMqtt.Mqtt)
  client.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => 0 })
  await client.setOptions({ cert: identity.cert, key: identity.key })
  try {
    await client.open()
    await client.sendEvent(new deviceSdk.Message(JSON.stringify(id)))
  } finally {
    await client.close()
  }
}

describe('two hubs in one server', { skip: await standardPortsMissing(ADDRESS) }, () => {
  let server: WholeServer
  let line: TestAuthority
  let depotLine: TestAuthority
  before(async () => {
    server = await startWholeServer({
      address: ADDRESS,
      standardPorts: true,
      hubs: [
        { name: HUB, hosts: [HUB_HOST] },
        { name: DEPOT, hosts: [DEPOT_HOST], partitions: 2 },
      ],
    })
    const root = await makeRoot('Plant root')
    line = await makeIntermediate(root, 'Line 1')
    depotLine = await makeIntermediate(root, 'Line 2')
    await server.operator.registerAuthority(HUB, 'root', root)
    await server.operator.enrollGroup('anywhere', {
      attestation: { type: 'x509', x509: { caReferences: { primary: 'root' } } },
      allocationPolicy: 'hashed',
    })
    const primary = { certificate: depotLine.der.toString('base64') }
    await server.operator.enrollGroup('depot-only', {
      attestation: { type: 'x509', x509: { signingCertificates: { primary } } },
      allocationPolicy: 'static',
      iotHubs: [DEPOT_HOST],
    })
  })
  after(() => server.close())

  async function register(id: string, identity: TestIdentity): Promise<string> {
    const client = provisioningSdk.ProvisioningDeviceClient.create(
      PROVISIONING_HOST,
      server.idScope,
      new provisioningHttp.Http(),
      new x509Security.X509Security(id, identity),
    )
    return ((await client.register()) as { assignedHub?: string }).assignedHub ?? ''
  }

  const sendersOf = async (hub: string) =>
    (await readEverything(await server.operator.eventsConnectionString(hub))).map(deviceOf).toSorted()

  test('share out the devices, and each keeps its own and no other', { timeout: 60_000 }, async () => {
    const assigned = new Map<string, string>()
    for (let index = 0; index < DEVICES; index++) {
      const id = `robot-${index}`
      const identity = await makeDevice(line, id, [line])
      const host = await register(id, identity)
      assigned.set(id, host)
      await send(host, id, identity)
      // Once more is the same again.
      assert.equal(await register(id, identity), host)
      if (index > 0) continue
      const other = host === HUB_HOST ? DEPOT_HOST : HUB_HOST
      await assert.rejects(send(other, id, identity), { name: 'UnauthorizedError' })
      assert.equal((await server.operator.refusal({ identity: id })).rule, 'device-unknown')
    }
    const at = (host: string) =>
      [...assigned]
        .filter(([, where]) => where === host)
        .map(([id]) => id)
        .toSorted()
    assert.ok(at(HUB_HOST).length > 0 && at(DEPOT_HOST).length > 0)
    assert.equal(at(HUB_HOST).length + at(DEPOT_HOST).length, DEVICES)
    assert.deepEqual(await sendersOf(HUB), at(HUB_HOST))
    assert.deepEqual(await sendersOf(DEPOT), at(DEPOT_HOST))
  })

  test('a group may be bound to one of them', { timeout: 30_000 }, async () => {
    for (const id of ['crane-1', 'crane-2', 'crane-3', 'crane-4']) {
      const identity = await makeDevice(depotLine, id, [depotLine])
      assert.equal(await register(id, identity), DEPOT_HOST)
      await send(DEPOT_HOST, id, identity)
    }
    assert.ok((await sendersOf(DEPOT)).includes('crane-4'))
  })

  test('a key of one hub opens nothing at the other', { timeout: 30_000 }, async () => {
    const own = await server.operator.eventsConnectionString(HUB)
    const other = own.replace(HUB_HOST, DEPOT_HOST).replace(`EntityPath=${HUB}`, `EntityPath=${DEPOT}`)
    await assert.rejects(readEverything(other), { code: 'UnauthorizedError' })
  })
})
