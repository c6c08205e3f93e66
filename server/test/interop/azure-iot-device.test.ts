import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import deviceSdk from 'azure-iot-device'
import type { Client as DeviceClient } from 'azure-iot-device'
import deviceMqtt from 'azure-iot-device-mqtt'
import { deviceOf, readEverything } from '../e2e/event-reading.ts'
import { HUB, HUB_HOST, standardPortsMissing, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'

const { Client, Message } = deviceSdk
const { Mqtt, MqttWs } = deviceMqtt
/** Of this file's server alone, so that it has the standard ports to itself. */
const ADDRESS = '127.0.1.1'
const KEY = Buffer.alloc(32, 7).toString('base64')
const NEVER_RETRY = { shouldRetry: () => false, nextRetryTimeout: () => 0 }
const TRANSPORTS = { Mqtt, MqttWs }
type Transport = keyof typeof TRANSPORTS

const skip = await standardPortsMissing(ADDRESS)
async function withCertificate(
  id: string,
  transport: Transport,
  identity: Pick<TestIdentity, 'cert' | 'key'>,
): Promise<DeviceClient> {
  const client = Client.fromConnectionString(`HostName=${HUB_HOST};DeviceId=${id};x509=true`, TRANSPORTS[transport])
  await client.setOptions({ cert: identity.cert, key: identity.key })
  return client
}

const withKey = (id: string, transport: Transport): DeviceClient =>
  Client.fromConnectionString(`HostName=${HUB_HOST};DeviceId=${id};SharedAccessKey=${KEY}`, TRANSPORTS[transport])

const sas = { type: 'sas', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } }
const thumbprints = (primary: string, secondary: string) => ({
  type: 'selfSigned',
  x509Thumbprint: { primaryThumbprint: primary, secondaryThumbprint: secondary },
})
const digest = (algorithm: string, { der }: TestIdentity) =>
  createHash(algorithm).update(der).digest('hex').toUpperCase()

describe('azure-iot-device, told nothing but a connection string', { skip }, () => {
  let server: WholeServer
  let line: TestAuthority
  const senders = new Set<string>()
  before(async () => {
    server = await startWholeServer({ address: ADDRESS, standardPorts: true })
    const root = await makeRoot('Plant root')
    line = await makeIntermediate(root, 'Line 1')
    await server.operator.registerAuthority(HUB, 'root', root)
  })
  after(() => server.close())

  /** Each way a device may be known, over one transport. */
  const kinds: Record<string, (id: string, transport: Transport) => Promise<DeviceClient>> = {
    certificateAuthority: async (id, transport) => {
      await server.operator.createDevice(HUB, id)
      return withCertificate(id, transport, await makeDevice(line, id, [line]))
    },
    'selfSigned (primary, SHA-1)': async (id, transport) => {
      const identity = await makeDevice(await makeRoot('Nobody knows'), id)
      await server.operator.createDevice(HUB, id, thumbprints(digest('sha1', identity), '0'.repeat(40)))
      return withCertificate(id, transport, identity)
    },
    'selfSigned (secondary, SHA-256)': async (id, transport) => {
      const identity = await makeDevice(await makeRoot('Nobody knows'), id)
      await server.operator.createDevice(HUB, id, thumbprints('0'.repeat(64), digest('sha256', identity)))
      return withCertificate(id, transport, identity)
    },
    sas: async (id, transport) => {
      await server.operator.createDevice(HUB, id, sas)
      return withKey(id, transport)
    },
  }

  for (const transport of ['Mqtt', 'MqttWs'] as const) {
    for (const [index, [kind, open]] of Object.entries(kinds).entries()) {
      test(`${kind} over ${transport}: sends, reads its twin, closes`, { timeout: 20_000 }, async () => {
        const id = `${transport}-${index}`
        const client = await open(id, transport)
        await client.open()
        assert.equal((await server.operator.device(HUB, id)).connectionState, 'Connected')
        const message = new Message(JSON.stringify({ from: id }))
        message.contentType = 'application/json'
        message.contentEncoding = 'utf-8'
        message.properties.add('alarm', 'true')
        await client.sendEvent(message)
        assert.equal((await client.getTwin()).properties.desired.$version, 1)
        await client.close()
        senders.add(id)
      })
    }
  }

  test('what they sent is in the stream, once and whole', { timeout: 20_000 }, async () => {
    const events = await readEverything(await server.operator.eventsConnectionString(HUB))
    assert.deepEqual(new Set(events.map(deviceOf)), senders)
    assert.equal(events.length, senders.size)
    for (const event of events) {
      assert.deepEqual(event.body, { from: deviceOf(event) })
      assert.deepEqual(event.properties, { alarm: 'true' })
    }
  })

  test('a second client of the same identity takes over, the first is told', { timeout: 20_000 }, async () => {
    const first = await kinds['certificateAuthority']?.('twice', 'Mqtt')
    assert.ok(first)
    first.setRetryPolicy(NEVER_RETRY)
    await first.open()
    const lost = once(first, 'disconnect')
    const second = await withCertificate('twice', 'Mqtt', await makeDevice(line, 'twice', [line]))
    await second.open()
    await lost
    await second.sendEvent(new Message('from the second'))
    assert.equal((await server.operator.device(HUB, 'twice')).connectionState, 'Connected')
    await Promise.all([first.close(), second.close()])
  })

  test(
    'a client that is connected when its device is disabled is cut off, and let in again',
    { timeout: 20_000 },
    async () => {
      const client = await kinds['certificateAuthority']?.('switched', 'MqttWs')
      assert.ok(client)
      client.setRetryPolicy(NEVER_RETRY)
      await client.open()
      const lost = once(client, 'disconnect')
      await server.operator.setStatus(HUB, 'switched', 'disabled')
      await lost
      const again = await withCertificate('switched', 'MqttWs', await makeDevice(line, 'switched', [line]))
      again.setRetryPolicy(NEVER_RETRY)
      await assert.rejects(again.open())
      await server.operator.setStatus(HUB, 'switched', 'enabled')
      await again.open()
      await Promise.all([client.close(), again.close()])
    },
  )

  test('a client reconnects by itself when the server comes back', { timeout: 40_000 }, async () => {
    const client = await kinds['certificateAuthority']?.('patient', 'Mqtt')
    assert.ok(client)
    await client.open()
    await client.sendEvent(new Message('before'))
    await server.restart()
    // The SDK keeps what it was given while it is away, and sends it when it is back.
    await client.sendEvent(new Message('after'))
    await client.close()
    const events = await readEverything(await server.operator.eventsConnectionString(HUB))
    const bodies = events
      .filter((event) => deviceOf(event) === 'patient')
      .map(({ body }) => Buffer.from(body).toString())
    assert.deepEqual(bodies, ['before', 'after'])
  })
})
