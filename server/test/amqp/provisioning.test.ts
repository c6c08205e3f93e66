import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setDefaultCACertificates } from 'node:tls'
import provisioning from 'azure-iot-provisioning-device'
import type { RegistrationResult } from 'azure-iot-provisioning-device'
import transport from 'azure-iot-provisioning-device-amqp'
import rhea from 'rhea'
import type { EventContext, Message } from 'rhea'
import symmetric from 'azure-iot-security-symmetric-key'
import security from 'azure-iot-security-x509'
import { CertificateAuthorities } from '../../src/hub/authorities/certificate-authorities.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import { Enrollments } from '../../src/provisioning/enrollments.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { HUB, startAmqpServer } from './amqp-server.ts'
import type { AmqpServer } from './amqp-server.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')

let server: AmqpServer
let line: TestAuthority

before(async () => {
  server = await startAmqpServer()
  setDefaultCACertificates([server.ca])
  const { registry, bus, clock, random, refusals } = server
  const authorities = new CertificateAuthorities({
    registry,
    bus,
    clock,
    random,
    refusals,
    limit: 10,
    codeLifetimeMs: 60_000,
  })
  const enrollments = new Enrollments({ registry, bus, clock, random })
  const root = await makeRoot('Plant root')
  line = await makeIntermediate(root, 'Line 1')
  await authorities.put(HUB, 'root', root.der, { expected: null, verifiedByOperator: true })
  const byRoot = { type: 'x509', x509: { caReferences: { primary: 'root' } } }
  await enrollments.putGroup({ enrollmentGroupId: 'line', attestation: byRoot }, null)
  const byKey = { type: 'symmetricKey', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } }
  await enrollments.putIndividual({ registrationId: 'meter', attestation: byKey, deviceId: 'meter-device' }, null)
  const off = { registrationId: 'off', attestation: byKey, provisioningStatus: 'disabled' }
  await enrollments.putIndividual(off, null)
})
after(() => server.close())

type Security = Parameters<typeof provisioning.ProvisioningDeviceClient.create>[3]
/** The SDK hands out AMQP errors as they came. */
type AmqpError = Error & { readonly condition: string; readonly description: string }

/** The typings of two SDK packages disagree about a private member. */
const keyed = (id: string, key: string) => new symmetric.SymmetricKeySecurityClient(id, key) as unknown as Security

async function register(identity: Security, scope = server.scope, payload?: object): Promise<RegistrationResult> {
  const amqp = new transport.Amqp()
  const client = provisioning.ProvisioningDeviceClient.create(`localhost:${server.port}`, scope, amqp, identity)
  if (payload !== undefined) client.setProvisioningPayload(payload)
  return (await client.register()) as RegistrationResult
}

const x509 = (id: string, { cert, key }: TestIdentity) => new security.X509Security(id, { cert, key })

test('a device registers by its chain', async () => {
  const identity = await makeDevice(line, 'robot-7', [line])
  const result = await register(x509('robot-7', identity), server.scope, { floor: 3 })
  assert.equal(result.status, 'assigned')
  assert.equal(result.assignedHub, 'hub1.test')
  assert.equal(result.deviceId, 'robot-7')
  const device = await server.registry.devices.get(HUB, parseDeviceId('robot-7'))
  assert.equal(device?.provenance?.enrollment.id, 'line')
})

test('a device registers by its symmetric key', async () => {
  const result = await register(keyed('meter', KEY))
  assert.equal(result.deviceId, 'meter-device')
})

test('a device registers over a WebSocket', async () => {
  // The SDK dials port 443 of whatever host it is given; a query swallows what it appends.
  const host = `localhost:${server.webSocketPort}/$iothub/websocket?`
  const identity = x509('robot-30', await makeDevice(line, 'robot-30', [line]))
  const client = provisioning.ProvisioningDeviceClient.create(host, server.scope, new transport.AmqpWs(), identity)
  const result = (await client.register()) as RegistrationResult
  assert.equal(result.deviceId, 'robot-30')
})

/** The error body of the service, from the description of the rejected outcome. */
function refusedWith(rule: string, status: number) {
  return async (error: AmqpError) => {
    assert.equal(error.condition, 'amqp:unauthorized-access')
    const { errorCode, trackingId } = JSON.parse(error.description) as { errorCode: number; trackingId: string }
    assert.equal(Math.floor(errorCode / 1_000), status)
    const refusal = await server.refusals.get(trackingId)
    assert.equal(refusal?.rule, rule)
    assert.equal(refusal?.protocol, 'amqp')
  }
}

/** Fails unless it rejects, and judges the error. */
async function refused(attempt: Promise<unknown>, judge: (error: AmqpError) => Promise<void>): Promise<void> {
  const error = await attempt.then(
    () => assert.fail('was not refused'),
    (error: AmqpError) => error,
  )
  await judge(error)
}

test('a chain that misses its intermediate, a foreign CA, another name: each refused with the body of the service', async () => {
  await refused(
    register(x509('robot-8', await makeDevice(line, 'robot-8'))),
    refusedWith('chain:issuer-not-found', 401),
  )
  const impostor = await makeRoot('Plant root')
  const foreign = await makeDevice(impostor, 'robot-9', [impostor])
  await refused(register(x509('robot-9', foreign)), async ({ condition }) =>
    assert.equal(condition, 'amqp:unauthorized-access'),
  )
  const other = await makeDevice(line, 'robot-10', [line])
  await refused(register(x509('robot-11', other)), refusedWith('registration-id-mismatch', 401))
})

test('an unknown scope is refused', async () => {
  const identity = await makeDevice(line, 'robot-12', [line])
  await refused(register(x509('robot-12', identity), '0neFFFFFFFF'), refusedWith('scope-unknown', 401))
})

/** What the SDK makes of a SASL outcome that is not ok. */
const notConnected = async ({ name }: Error): Promise<void> => assert.equal(name, 'NotConnectedError')

test('a wrong key and a disabled enrollment are refused at login, and recorded', async () => {
  const wrong = keyed('meter', Buffer.alloc(32, 8).toString('base64'))
  await refused(register(wrong), notConnected)
  await refused(register(keyed('off', KEY)), notConnected)
  const rules = (await server.refusals.list({ limit: 10 })).map(({ rule }) => rule)
  assert.ok(rules.includes('token-signature-wrong'), rules.join())
  assert.ok(rules.includes('enrollment-disabled'), rules.join())
})

test('a device that may not poll for another operation is told so', async () => {
  const identity = await makeDevice(line, 'robot-20', [line])
  const answer = await exchange(identity, 'robot-20', {
    application_properties: { 'iotdps-operation-type': 'iotdps-get-operationstatus', 'iotdps-operation-id': '5.x.y' },
    body: '',
  })
  assert.equal(answer.condition, 'amqp:not-found')
  assert.equal((JSON.parse(answer.description) as { errorCode: number }).errorCode, 404_205)
})

test('malformed requests are rejected in words', async () => {
  const identity = await makeDevice(line, 'robot-21', [line])
  const register = { 'iotdps-operation-type': 'iotdps-register' }
  const bodies = [
    rhea.message.data_section(Buffer.from('{"registrationId":')),
    rhea.message.data_section(Buffer.from('[]')),
    rhea.message.sequence_section([1]),
  ]
  for (const body of bodies) {
    const { condition } = await exchange(identity, 'robot-21', { application_properties: register, body })
    assert.equal(condition, 'com.microsoft:argument-error')
  }
  const { condition } = await exchange(identity, 'robot-21', { application_properties: {}, body: '' })
  assert.equal(condition, 'com.microsoft:argument-error')
})

test('the answer repeats the correlation id in its own type', async () => {
  const identity = await makeDevice(line, 'robot-22', [line])
  for (const id of ['text', 7, Buffer.alloc(16, 3)]) {
    const message = {
      application_properties: { 'iotdps-operation-type': 'iotdps-register' },
      body: '',
      correlation_id: id,
    }
    const { answer } = await exchange(identity, 'robot-22', message)
    assert.deepEqual(answer?.correlation_id, id)
  }
})

interface Exchange {
  readonly condition: string
  readonly description: string
  readonly answer: Message | null
}

/** One request over a bare AMQP connection: the rejection, or the answer. */
async function exchange({ cert, key }: TestIdentity, id: string, request: Message): Promise<Exchange> {
  const options = { host: 'localhost', port: server.port, transport: 'tls', cert, key, reconnect: false } as const
  const connection = rhea.create_container().connect(options)
  const address = `amqps://localhost/${server.scope}/registrations/${id}`
  const receiver = connection.open_receiver(address)
  const sender = connection.open_sender(address)
  const result = new Promise<Exchange>((resolve) => {
    receiver.on('message', ({ message }: EventContext) =>
      resolve({ condition: '', description: '', answer: message ?? null }),
    )
    sender.on('rejected', ({ delivery }: EventContext) => {
      const { condition, description } = (delivery as unknown as { remote_state: { error: AmqpError } }).remote_state
        .error
      resolve({ condition, description, answer: null })
    })
  })
  sender.once('sendable', () => sender.send(request))
  const answer = await result
  connection.close()
  await new Promise((resolve) => connection.once('connection_close', resolve))
  return answer
}
