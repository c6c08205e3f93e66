import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { IotDpsClient } from '@azure/arm-deviceprovisioningservices'
import { IotHubClient } from '@azure/arm-iothub'
import { EventHubConsumerClient, earliestEventPosition } from '@azure/event-hubs'
import type { ReceivedEventData } from '@azure/event-hubs'
import deviceSdk from 'azure-iot-device'
import deviceMqtt from 'azure-iot-device-mqtt'
import provisioningSdk from 'azure-iot-provisioning-device'
import provisioningHttp from 'azure-iot-provisioning-device-http'
import provisioningService from 'azure-iot-provisioning-service'
import x509Security from 'azure-iot-security-x509'
import hubService from 'azure-iothub'
import { HUB, HUB_HOST, PROVISIONING_HOST, standardPortsMissing, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeProof, makeRoot } from '../http/certificates.ts'

/** Of this file's server alone, so that it has the standard ports to itself. */
const ADDRESS = '127.0.1.3'
const DEVICE = 'press-17'
/** The SDKs ask for names that a self-hosted server has no use for. */
const ANY = 'any'
const SERVICE = 'dps'

/** The article's path, each step by the SDK that is made for it and by nothing of ours. */
describe('from a CA to a message read back, by SDKs alone', { skip: await standardPortsMissing(ADDRESS) }, () => {
  let server: WholeServer
  before(async () => {
    server = await startWholeServer({ address: ADDRESS, standardPorts: true })
  })
  after(() => server.close())

  test('register, prove, enrol, provision, connect, read, switch off', { timeout: 60_000 }, async (t) => {
    const root = await makeRoot('Plant root')
    const line = await makeIntermediate(root, 'Line 1')
    const identity = await makeDevice(line, DEVICE, [line])
    const credential = {
      getToken: async () => ({ token: server.operator.token, expiresOnTimestamp: Date.now() + 3_600_000 }),
    }
    const hubs = new IotHubClient(credential, ANY, { endpoint: `https://${HUB_HOST}` })
    const services = new IotDpsClient(credential, ANY, { endpoint: `https://${PROVISIONING_HOST}` })

    await t.test('@azure/arm-iothub registers the CA and proves its key', async () => {
      const certificate = root.der.toString('base64')
      const created = await hubs.certificates.createOrUpdate(ANY, HUB, 'root', { properties: { certificate } })
      const coded = await hubs.certificates.generateVerificationCode(ANY, HUB, 'root', created.etag ?? '')
      const proof = await makeProof(root, coded.properties?.verificationCode ?? '')
      const body = { certificate: proof.toString('base64') }
      const verified = await hubs.certificates.verify(ANY, HUB, 'root', coded.etag ?? '', body)
      assert.equal(verified.properties?.isVerified, true)
    })

    let scope = ''
    await t.test('@azure/arm-deviceprovisioningservices sees it verified, and tells the scope', async () => {
      const listed = await services.dpsCertificate.list(ANY, SERVICE)
      assert.deepEqual(
        listed.value?.map(({ name, properties }) => [name, properties?.isVerified]),
        [['root', true]],
      )
      scope = (await services.iotDpsResource.get(SERVICE, ANY)).properties.idScope ?? ''
      assert.equal(scope, server.idScope)
    })

    await t.test('azure-iot-provisioning-service enrols a group', async () => {
      const { keyName, primaryKey } = await services.iotDpsResource.listKeysForKeyName(
        SERVICE,
        'provisioningserviceowner',
        ANY,
      )
      const client = provisioningService.ProvisioningServiceClient.fromConnectionString(
        `HostName=${PROVISIONING_HOST};SharedAccessKeyName=${keyName};SharedAccessKey=${primaryKey}`,
      )
      const group = {
        enrollmentGroupId: 'line-1',
        attestation: { type: 'x509', x509: { caReferences: { primary: 'root' } } },
        initialTwin: { tags: {}, properties: { desired: { interval: 5 } } },
      }
      const { responseBody } = await client.createOrUpdateEnrollmentGroup(group as never)
      assert.equal(responseBody.provisioningStatus, 'enabled')
    })

    await t.test('azure-iot-provisioning-device registers by its chain', async () => {
      const client = provisioningSdk.ProvisioningDeviceClient.create(
        PROVISIONING_HOST,
        scope,
        new provisioningHttp.Http(),
        new x509Security.X509Security(DEVICE, identity),
      )
      const result = (await client.register()) as { assignedHub?: string; deviceId?: string }
      assert.deepEqual([result.assignedHub, result.deviceId], [HUB_HOST, DEVICE])
    })

    const connection = `HostName=${HUB_HOST};DeviceId=${DEVICE};x509=true`
    const device = deviceSdk.Client.fromConnectionString(connection, deviceMqtt.Mqtt)
    await t.test('azure-iot-device connects with the same certificate and sends', async () => {
      await device.setOptions({ cert: identity.cert, key: identity.key })
      await device.open()
      assert.equal((await device.getTwin()).properties.desired['interval'], 5)
      await device.sendEvent(new deviceSdk.Message('{"temperature":21.5}'))
    })

    await t.test('@azure/event-hubs reads it, over TLS and over a WebSocket', async () => {
      const { primaryKey } = await hubs.iotHubResource.getKeysForKeyName(ANY, HUB, 'service')
      const events = `Endpoint=sb://${HUB_HOST}/;SharedAccessKeyName=service;SharedAccessKey=${primaryKey};EntityPath=${HUB}`
      for (const webSocketOptions of [undefined, { webSocket: WebSocket }]) {
        const event = await firstEvent(events, webSocketOptions)
        assert.deepEqual(event.body, { temperature: 21.5 })
        assert.equal(event.systemProperties?.['iothub-connection-device-id'], DEVICE)
      }
    })

    await t.test("azure-iothub's Registry shows the device, and cuts it off", async () => {
      const { primaryKey } = await hubs.iotHubResource.getKeysForKeyName(ANY, HUB, 'iothubowner')
      const registry = hubService.Registry.fromConnectionString(
        `HostName=${HUB_HOST};SharedAccessKeyName=iothubowner;SharedAccessKey=${primaryKey}`,
      )
      const { responseBody: shown } = await registry.get(DEVICE)
      assert.deepEqual([shown.connectionState, shown.status], ['Connected', 'enabled'])
      const lost = new Promise<void>((resolve) => device.once('disconnect', () => resolve()))
      device.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => 0 })
      await registry.update(Object.assign(shown, { status: 'disabled', statusReason: 'stolen' }))
      await lost
      const { responseBody: off } = await registry.get(DEVICE)
      assert.deepEqual([off.connectionState, off.status], ['Disconnected', 'disabled'])
      await device.close()
    })
  })
})

async function firstEvent(connectionString: string, webSocketOptions?: object): Promise<ReceivedEventData> {
  const client = new EventHubConsumerClient('$Default', connectionString, {
    retryOptions: { maxRetries: 0 },
    ...(webSocketOptions === undefined ? {} : { webSocketOptions }),
  })
  const first = Promise.withResolvers<ReceivedEventData>()
  const subscription = client.subscribe(
    {
      processEvents: async ([event]) => {
        if (event !== undefined) first.resolve(event)
      },
      processError: async (error) => first.reject(error),
    },
    { startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1 },
  )
  try {
    return await first.promise
  } finally {
    await subscription.close()
    await client.close()
  }
}
