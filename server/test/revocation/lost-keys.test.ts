import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setDefaultCACertificates } from 'node:tls'
import { EventHubConsumerClient } from '@azure/event-hubs'
import { signToken } from '../amqp/tokens.ts'
import { connect } from '../mqtt/packet-bytes.ts'
import type { RawClient } from '../mqtt/raw-client.ts'
import { HOME, openPlant } from './plant.ts'
import type { Plant } from './plant.ts'

/** Far beyond what a timer can be set to (2^31 - 1 ms), and beyond every key. */
const YEAR_9999 = 253_402_300_799_000

const devicePath = `/hubs/${HOME}/devices/pump`

async function policyToken(plant: Plant, key: 'primaryKey' | 'secondaryKey', expiresAt?: number): Promise<string> {
  const { value } = await plant.operate(`/hubs/${HOME}/policies`)
  const policy = value.find(({ name }: { name: string }) => name === 'device')
  return `${signToken('plant.test/devices/pump', policy[key], 'iot', expiresAt ?? Date.now() + 3_600_000)}&skn=device`
}

async function admitted(client: RawClient, plant: Plant): Promise<RawClient> {
  assert.equal(await plant.returnCode(client), 0)
  return client
}

async function isAlive(client: RawClient): Promise<void> {
  client.send(Buffer.from([0xc0, 0]))
  assert.equal((await client.next()).cmd, 'pingresp')
}

suite('a key that is replaced', { timeout: 60_000 }, () => {
  test('of a policy takes along the sessions that its tokens opened, and no others', async (t) => {
    const plant = await openPlant(t)
    await plant.operate(devicePath, 'PUT', {})
    const token = await policyToken(plant, 'primaryKey', YEAR_9999)
    const live = await admitted(await plant.withToken('pump', token), plant)
    await plant.operate(`/hubs/${HOME}/policies/device/rotate`, 'POST', { key: 'secondary' })
    await isAlive(live)
    await plant.operate(`/hubs/${HOME}/policies/device/rotate`, 'POST', { key: 'primary' })
    await live.closed
    assert.equal(await plant.returnCode(await plant.withToken('pump', token)), 5)
    const fresh = await plant.withToken('pump', await policyToken(plant, 'primaryKey'))
    await isAlive(await admitted(fresh, plant))
  })

  test('of a device ends the session that it opened, and not the one of the other key', async (t) => {
    const plant = await openPlant(t)
    const { authentication, etag } = await plant.operate(devicePath, 'PUT', {})
    const { primaryKey, secondaryKey } = authentication.symmetricKey
    const tokenOf = (key: string): string => signToken('plant.test/devices/pump', key, 'iot', YEAR_9999)
    const live = await admitted(await plant.withToken('pump', tokenOf(primaryKey)), plant)
    const replace = async (symmetricKey: object, version: string): Promise<string> => {
      const answer = await plant.ask(`/holdfast/v1${devicePath}`, {
        method: 'PUT',
        body: { authentication: { type: 'sas', symmetricKey } },
        headers: { 'if-match': `"${version}"` },
      })
      assert.equal(answer.status, 200, answer.bytes.toString())
      return answer.json.etag
    }
    const other = Buffer.alloc(32, 7).toString('base64')
    const version = await replace({ primaryKey, secondaryKey: other }, etag)
    await isAlive(live)
    await replace({ primaryKey: secondaryKey, secondaryKey: other }, version)
    await live.closed
    assert.equal(await plant.returnCode(await plant.withToken('pump', tokenOf(primaryKey))), 5)
    await isAlive(await admitted(await plant.withToken('pump', tokenOf(secondaryKey)), plant))
  })

  test('of an enrollment group ends the connections to the provisioning service that rest on it', async (t) => {
    const plant = await openPlant(t)
    const keys = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64'))
    const enroll = (primaryKey: string | undefined, secondaryKey: string | undefined) => {
      const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey, secondaryKey } }
      return plant.ask('/holdfast/v1/enrollment-groups/keys', {
        method: 'PUT',
        body: { attestation },
        headers: { 'if-match': '*' },
      })
    }
    assert.ok((await enroll(keys[0], keys[1])).status < 300)
    const { deriveDeviceKey, secretKeyOf } = await import('../../src/provisioning/derived-keys.ts')
    const connected = async (id: string, key: string) => {
      const resource = `${plant.idScope}/registrations/${id}`
      const password = signToken(resource, deriveDeviceKey(secretKeyOf(key), id), 'iot', YEAR_9999)
      const userName = `${resource}/api-version=2019-03-31`
      return admitted(await plant.say(connect({ clientId: id, userName, password })), plant)
    }
    const [one, two] = [await connected('one', keys[0] ?? ''), await connected('two', keys[1] ?? '')]
    assert.ok((await enroll(keys[2], keys[1])).status < 300)
    await one.closed
    await isAlive(two)
  })

  test('of a policy ends its readers at once, told so by the API and asked by nobody', async (t) => {
    const plant = await openPlant(t)
    setDefaultCACertificates([plant.rootPem])
    const { value } = await plant.operate(`/hubs/${HOME}/policies`)
    const { primaryKey } = value.find(({ name }: { name: string }) => name === 'service')
    const address = `Endpoint=sb://plant.test:${plant.ports.amqp}/;SharedAccessKeyName=service;SharedAccessKey=${primaryKey};EntityPath=${HOME}`
    const client = new EventHubConsumerClient('$Default', address, {
      retryOptions: { maxRetries: 0, timeoutInMs: 5_000 },
      customEndpointAddress: `sb://localhost:${plant.ports.amqp}`,
    })
    const [reading, failed] = [Promise.withResolvers<void>(), Promise.withResolvers<Error>()]
    const subscription = client.subscribe(
      '0',
      { processEvents: async () => reading.resolve(), processError: async (error) => failed.resolve(error) },
      { maxWaitTimeInSeconds: 1 },
    )
    await reading.promise
    await plant.operate(`/hubs/${HOME}/policies/service/rotate`, 'POST', { key: 'primary' })
    assert.match((await failed.promise).message, /counts no more/)
    await subscription.close()
    await client.close()
  })
})
