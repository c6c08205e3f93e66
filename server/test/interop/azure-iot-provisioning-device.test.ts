import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import deviceSdk from 'azure-iot-device'
import deviceMqtt from 'azure-iot-device-mqtt'
import provisioningSdk from 'azure-iot-provisioning-device'
import provisioningAmqp from 'azure-iot-provisioning-device-amqp'
import provisioningHttp from 'azure-iot-provisioning-device-http'
import provisioningMqtt from 'azure-iot-provisioning-device-mqtt'
import symmetricKeySecurity from 'azure-iot-security-symmetric-key'
import x509Security from 'azure-iot-security-x509'
import { HUB, HUB_HOST, PROVISIONING_HOST, standardPortsMissing, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'

/** Of this file's server alone, so that it has the standard ports to itself. */
const ADDRESS = '127.0.1.2'
const GROUP_KEY = Buffer.alloc(32, 9).toString('base64')
const DEVICE_KEY = Buffer.alloc(32, 7).toString('base64')
const TRANSPORTS = {
  Mqtt: provisioningMqtt.Mqtt,
  MqttWs: provisioningMqtt.MqttWs,
  Http: provisioningHttp.Http,
  Amqp: provisioningAmqp.Amqp,
  AmqpWs: provisioningAmqp.AmqpWs,
}

type Create = typeof provisioningSdk.ProvisioningDeviceClient.create
type Security = Parameters<Create>[3]
interface Registered {
  readonly status?: string
  readonly assignedHub?: string
  readonly deviceId?: string
}

const x509 = (id: string, { cert, key }: TestIdentity): Security => new x509Security.X509Security(id, { cert, key })
// The typings of two SDK packages disagree about a private member.
const keyed = (id: string, key: string): Security =>
  new symmetricKeySecurity.SymmetricKeySecurityClient(id, key) as unknown as Security

const skip = await standardPortsMissing(ADDRESS)
describe('azure-iot-provisioning-device, told nothing but host and scope', { skip }, () => {
  let server: WholeServer
  let line: TestAuthority
  before(async () => {
    server = await startWholeServer({ address: ADDRESS, standardPorts: true })
    const { operator } = server
    const root = await makeRoot('Plant root')
    line = await makeIntermediate(root, 'Line 1')
    await operator.registerAuthority(HUB, 'root', root)
    await operator.enrollGroup('by-chain', {
      attestation: { type: 'x509', x509: { caReferences: { primary: 'root' } } },
      initialTwin: { tags: { floor: 3 }, properties: { desired: { interval: 10 } } },
    })
    const symmetricKey = { primaryKey: GROUP_KEY, secondaryKey: GROUP_KEY }
    await operator.enrollGroup('by-key', { attestation: { type: 'symmetricKey', symmetricKey } })
  })
  after(() => server.close())

  async function enrollCertificate(id: string, der: Buffer): Promise<void> {
    const clientCertificates = { primary: { certificate: der.toString('base64') } }
    await server.operator.enroll(id, { attestation: { type: 'x509', x509: { clientCertificates } } })
  }

  /** Each way to be enrolled. */
  const attestations: Record<string, (id: string) => Promise<Security>> = {
    'X.509 group': async (id) => x509(id, await makeDevice(line, id, [line])),
    'X.509 individual': async (id) => {
      const identity = await makeDevice(line, id, [line])
      await enrollCertificate(id, identity.der)
      return x509(id, identity)
    },
    'X.509 individual, self-signed': async (id) => {
      const { der, pem, key } = await makeRoot(id)
      await enrollCertificate(id, der)
      return x509(id, { der, cert: pem, key: key.export({ type: 'pkcs8', format: 'pem' }) })
    },
    'symmetric key group': async (id) => {
      const derived = createHmac('sha256', Buffer.from(GROUP_KEY, 'base64')).update(id).digest('base64')
      return keyed(id, derived)
    },
    'symmetric key individual': async (id) => {
      const symmetricKey = { primaryKey: DEVICE_KEY, secondaryKey: DEVICE_KEY }
      await server.operator.enroll(id, { attestation: { type: 'symmetricKey', symmetricKey } })
      return keyed(id, DEVICE_KEY)
    },
  }

  async function register(transport: keyof typeof TRANSPORTS, security: Security): Promise<Registered> {
    const { ProvisioningDeviceClient } = provisioningSdk
    const client = ProvisioningDeviceClient.create(
      PROVISIONING_HOST,
      server.idScope,
      new TRANSPORTS[transport](),
      security,
    )
    client.setProvisioningPayload({ model: 'ünïcode' })
    return (await client.register()) as Registered
  }

  for (const transport of Object.keys(TRANSPORTS) as (keyof typeof TRANSPORTS)[]) {
    for (const [index, [attestation, prepare]] of Object.entries(attestations).entries()) {
      test(`${attestation} over ${transport}`, { timeout: 30_000 }, async () => {
        const id = `${transport.toLowerCase()}-${index}`
        const security = await prepare(id)
        const first = await register(transport, security)
        assert.deepEqual([first.status, first.assignedHub, first.deviceId], ['assigned', HUB_HOST, id])
        assert.equal((await server.operator.device(HUB, id)).status, 'enabled')
      })
    }
  }

  test(
    'what was registered over any transport connects to the hub and finds its twin',
    { timeout: 30_000 },
    async () => {
      const id = 'journey'
      const identity = await makeDevice(line, id, [line])
      const { assignedHub, deviceId } = await register('AmqpWs', x509(id, identity))
      const client = deviceSdk.Client.fromConnectionString(
        `HostName=${assignedHub};DeviceId=${deviceId};x509=true`,
        deviceMqtt.Mqtt,
      )
      await client.setOptions({ cert: identity.cert, key: identity.key })
      await client.open()
      assert.equal((await client.getTwin()).properties.desired['interval'], 10)
      await client.close()
    },
  )
})
