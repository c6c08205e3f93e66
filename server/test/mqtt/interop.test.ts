import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent } from 'node:https'
import type { AgentOptions } from 'node:https'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import deviceSdk from 'azure-iot-device'
import type { Client as DeviceClient } from 'azure-iot-device'
import deviceMqtt from 'azure-iot-device-mqtt'
import provisioningSdk from 'azure-iot-provisioning-device'
import provisioningMqtt from 'azure-iot-provisioning-device-mqtt'
import symmetricKeySecurity from 'azure-iot-security-symmetric-key'
import x509Security from 'azure-iot-security-x509'
import { connectAsync } from 'mqtt'
import type { IClientOptions } from 'mqtt'
import type { HubEvent } from '../../src/model/message.ts'
import { HUB, SCOPE, startFixture } from './fixture.ts'
import type { Fixture } from './fixture.ts'
import { without } from '../../../test/foreign-program.ts'

const { Client, Message } = deviceSdk
const { Mqtt, MqttWs } = deviceMqtt
const { ProvisioningDeviceClient } = provisioningSdk
const { Mqtt: ProvisioningMqtt, MqttWs: ProvisioningMqttWs } = provisioningMqtt
const { SymmetricKeySecurityClient } = symmetricKeySecurity
const { X509Security } = x509Security

const KEY = Buffer.alloc(32, 7).toString('base64')

describe('unmodified clients', () => {
  let fixture: Fixture
  let folder: string
  before(async () => {
    fixture = await startFixture()
    folder = await mkdtemp(join(tmpdir(), 'holdfast-interop-'))
    await fixture.enrollments.putGroup(
      { enrollmentGroupId: 'plant', attestation: { type: 'x509', x509: { caReferences: { primary: 'root' } } } },
      null,
    )
    await fixture.enrollments.putIndividual(
      {
        registrationId: 'keyed',
        attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } },
      },
      null,
    )
  })
  after(async () => {
    await fixture.close()
    await rm(folder, { recursive: true })
  })

  async function eventOf(id: string): Promise<HubEvent | undefined> {
    return (await fixture.events()).map(({ event }) => event).find(({ deviceId }) => deviceId === id)
  }

  async function sendAndReadTwin(client: DeviceClient, id: string): Promise<void> {
    await client.open()
    const message = new Message(JSON.stringify({ temperature: 21 }))
    message.messageId = 'm 1'
    message.contentType = 'application/json'
    message.contentEncoding = 'utf-8'
    message.properties.add('zone', 'a+b/ü')
    await client.sendEvent(message)
    const event = await eventOf(id)
    assert.equal(bodyOf(event), '{"temperature":21}')
    assert.equal(event?.properties.messageId, 'm 1')
    assert.equal(event?.properties.contentType, 'application/json')
    assert.deepEqual(event?.application, { zone: 'a+b/ü' })
    const twin = await client.getTwin()
    assert.deepEqual(twin.properties.desired.$version, 1)
    await client.close()
  }

  /** The SDK has no option for a CA; its transport takes a base object that has one. */
  function base(webSocketAgent?: Agent) {
    const fromSdk = createRequire(createRequire(import.meta.url).resolve('azure-iot-provisioning-device-mqtt'))
    const { MqttBase } = fromSdk('azure-iot-mqtt-base')
    const made = new MqttBase()
    made.setOptions({ ca: fixture.serverRoot.pem, ...(webSocketAgent && { mqtt: { webSocketAgent } }) })
    return made
  }

  /** SDKs that dial port 443 whatever they are told take an agent that knows better. */
  function agent(options: AgentOptions = {}): Agent {
    const elsewhere = new Agent({ ...options, ca: fixture.serverRoot.pem })
    const dial = elsewhere.createConnection.bind(elsewhere)
    elsewhere.createConnection = (target, callback) =>
      dial({ ...target, host: 'localhost', port: fixture.ports.https ?? 0, ca: fixture.serverRoot.pem }, callback)
    return elsewhere
  }

  describe('mqtt.js', () => {
    for (const transport of ['mqtts', 'wss'] as const) {
      for (const clean of [true, false]) {
        test(`over ${transport}, clean session ${clean}`, async () => {
          const id = `mqttjs-${transport}-${clean}`
          const { cert, key } = await fixture.device(id)
          const port = transport === 'wss' ? fixture.ports.https : fixture.ports.mqtts
          const tls = { cert, key, ca: fixture.serverRoot.pem }
          const options: IClientOptions = {
            ...tls,
            wsOptions: tls,
            clientId: id,
            username: `localhost/${id}/?api-version=2021-04-12`,
            protocolVersion: 4,
            clean,
            reconnectPeriod: 0,
          }
          const client = await connectAsync(`${transport}://localhost:${port}/$iothub/websocket`, options)
          const granted = await client.subscribeAsync(`devices/${id}/messages/devicebound/#`, { qos: 1 })
          assert.deepEqual(
            granted.map(({ qos }) => qos),
            [1],
          )
          await client.publishAsync(`devices/${id}/messages/events/a=b`, 'hello', { qos: 1 })
          const event = await eventOf(id)
          assert.equal(bodyOf(event), 'hello')
          assert.deepEqual(event?.application, { a: 'b' })
          await client.endAsync()
        })
      }
    }
  })

  test('mosquitto_pub', { skip: without('mosquitto_pub', 'mosquitto-clients') }, async () => {
    const id = 'mosquitto'
    const { cert, key } = await fixture.device(id)
    const files = { root: join(folder, 'root.pem'), cert: join(folder, 'dev.cer'), key: join(folder, 'dev.key') }
    await writeFile(files.root, fixture.serverRoot.pem)
    await writeFile(files.cert, cert)
    await writeFile(files.key, key)
    const tls = `--cafile ${files.root} --cert ${files.cert} --key ${files.key}`
    const server = `-h localhost -p ${fixture.ports.mqtts} -V mqttv311`
    const names = `-i ${id} -u localhost/${id}/?api-version=2021-04-12 -t devices/${id}/messages/events/`
    const publisher = spawn('mosquitto_pub', `${tls} ${server} ${names} -q 1 -l`.split(' '))
    publisher.stdin.end('one\ntwo\nthree\n')
    const [code] = await once(publisher, 'close')
    assert.equal(code, 0)
    const bodies = (await fixture.events())
      .filter(({ event }) => event.deviceId === id)
      .map(({ event }) => bodyOf(event))
    assert.deepEqual(bodies, ['one', 'two', 'three'])
  })

  describe('azure-iot-device', () => {
    test('with a certificate over MQTT', async () => {
      const id = 'sdk-x509'
      const { cert, key } = await fixture.device(id)
      const client = Client.fromConnectionString(
        `HostName=localhost:${fixture.ports.mqtts};DeviceId=${id};x509=true`,
        Mqtt,
      )
      await client.setOptions({ cert, key, ca: fixture.serverRoot.pem })
      await sendAndReadTwin(client, id)
    })

    test('with a key through a gateway host name, and a model id', async () => {
      const id = 'sdk-sas'
      await fixture.devices.create(HUB, {
        deviceId: id,
        authentication: { type: 'sas', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } },
      })
      const client = Client.fromConnectionString(
        `HostName=localhost;GatewayHostName=localhost:${fixture.ports.mqtts};DeviceId=${id};SharedAccessKey=${KEY}`,
        Mqtt,
      )
      await client.setOptions({ ca: fixture.serverRoot.pem, modelId: 'dtmi:com:example:T;1' })
      await sendAndReadTwin(client, id)
      assert.equal((await eventOf(id))?.modelId, 'dtmi:com:example:T;1')
    })

    test('with a certificate over MQTT in a WebSocket', async () => {
      const id = 'sdk-ws'
      const { cert, key } = await fixture.device(id)
      const client = Client.fromConnectionString(`HostName=localhost;DeviceId=${id};x509=true`, MqttWs)
      await client.setOptions({ cert, key, ca: fixture.serverRoot.pem, mqtt: { webSocketAgent: agent({ cert, key }) } })
      await sendAndReadTwin(client, id)
    })

    test('with a wrong key is told that it is not authorised', async () => {
      const id = 'sdk-wrong'
      await fixture.devices.create(HUB, {
        deviceId: id,
        authentication: { type: 'sas', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } },
      })
      const other = Buffer.alloc(32, 8).toString('base64')
      const client = Client.fromConnectionString(
        `HostName=localhost:${fixture.ports.mqtts};DeviceId=${id};SharedAccessKey=${other}`,
        Mqtt,
      )
      await client.setOptions({ ca: fixture.serverRoot.pem })
      await assert.rejects(client.open(), { name: 'UnauthorizedError' })
    })
  })

  describe('azure-iot-provisioning-device', () => {
    type Create = typeof ProvisioningDeviceClient.create
    type Transport = Parameters<Create>[2]

    /** Registers over MQTT on our port unless another transport is given. */
    async function register(
      scope: string,
      security: InstanceType<typeof X509Security | typeof SymmetricKeySecurityClient>,
      transport: Transport = new ProvisioningMqtt(base()),
      host = `localhost:${fixture.ports.mqtts}`,
    ): Promise<{ status?: string; assignedHub?: string; deviceId?: string }> {
      // The SDK's own types lack `register` and do not accept its own security clients.
      const client = ProvisioningDeviceClient.create(host, scope, transport, security as never) as unknown as {
        register(): Promise<{ status?: string; assignedHub?: string; deviceId?: string }>
        setProvisioningPayload(payload: unknown): void
      }
      client.setProvisioningPayload({ model: 'ünïcode' })
      return client.register()
    }

    test('registers by its chain, then connects to the hub that it was assigned', async () => {
      const id = 'prov-x509'
      const { cert, key } = await fixture.identity(id)
      const result = await register(SCOPE, new X509Security(id, { cert, key }))
      assert.equal(result.status, 'assigned')
      assert.equal(result.assignedHub, 'localhost')
      assert.equal(result.deviceId, id)
      const hub = Client.fromConnectionString(
        `HostName=localhost:${fixture.ports.mqtts};DeviceId=${id};x509=true`,
        Mqtt,
      )
      await hub.setOptions({ cert, key, ca: fixture.serverRoot.pem })
      await hub.open()
      await hub.sendEvent(new Message('provisioned'))
      assert.equal(bodyOf(await eventOf(id)), 'provisioned')
      await hub.close()
    })

    test('registers by its chain over a WebSocket', async () => {
      const id = 'prov-ws'
      const { cert, key } = await fixture.identity(id)
      const transport = new ProvisioningMqttWs(base(agent({ cert, key })))
      const result = await register(SCOPE, new X509Security(id, { cert, key }), transport, 'localhost')
      assert.equal(result.deviceId, id)
    })

    test('registers by a symmetric key', async () => {
      const result = await register(SCOPE, new SymmetricKeySecurityClient('keyed', KEY))
      assert.equal(result.deviceId, 'keyed')
    })

    test('is refused with an unknown scope, a wrong key and a chain that misses its intermediate', async () => {
      const other = Buffer.alloc(32, 8).toString('base64')
      const { cert, key } = await fixture.identity('short')
      const leafAlone = cert.slice(0, cert.indexOf('-----END') + '-----END CERTIFICATE-----\n'.length)
      const attempts = [
        ['0ne00000bad', new SymmetricKeySecurityClient('keyed', KEY)],
        [SCOPE, new SymmetricKeySecurityClient('keyed', other)],
        [SCOPE, new X509Security('short', { cert: leafAlone, key })],
      ] as const
      for (const [scope, security] of attempts) {
        await assert.rejects(register(scope, security), { message: /Not authorized/ })
      }
    })
  })
})

function bodyOf(event: HubEvent | undefined): string {
  return Buffer.from(event?.body ?? []).toString()
}
