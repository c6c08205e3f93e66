import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { DEFAULT_WEBHOOK_LIMITS } from '../../src/provisioning/allocation-webhook.ts'
import type { RegistrationResult } from '../../src/provisioning/wire-registration.ts'
import type { AuthenticatedRegistration } from '../../src/provisioning/authenticate-registration.ts'
import type { Provisioning } from './fixture.ts'
import { assertAssigned, derivedKey, EAST, openProvisioning, tokenFor, WEST } from './fixture.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')
const LIMITS = { ...DEFAULT_WEBHOOK_LIMITS, timeout: 300, concurrency: 1, waiting: 1 }

const credential = (id: string) => ({ token: tokenFor(id, derivedKey(KEY, id)) })

describe('custom allocation', () => {
  let house: Provisioning
  let address: string
  let answer: (request: IncomingMessage, response: ServerResponse, body: string) => void
  let operations = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => answer(request, response, Buffer.concat(chunks).toString()))
  })

  before(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/allocate`
    house = await openProvisioning({ webhookLimits: LIMITS })
    await enroll({})
  })
  after(async () => {
    await house.close()
    server.closeAllConnections()
    server.close()
  })
  beforeEach(() => {
    answer = (_, response) => response.end(JSON.stringify({ iotHubHostName: 'West.example' }))
  })

  function enroll(more: object, webhookUrl = address) {
    const draft = {
      enrollmentGroupId: 'custom',
      attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } },
      allocationPolicy: 'custom',
      customAllocationDefinition: { webhookUrl, apiVersion: '2021-10-01' },
      ...more,
    }
    return house.enrollments.putGroup(draft, { kind: 'any' })
  }

  /** Registers, and polls once the operation has ended. */
  async function outcome(who: AuthenticatedRegistration, payload?: { model: string }): Promise<RegistrationResult> {
    const { operationId, status, retryAfter } = await house.registrar.register(who, payload ? { payload } : {}, {
      force: false,
    })
    assert.equal(status, 'assigning')
    assert.ok(retryAfter !== null && retryAfter >= 1)
    for (;;) {
      const result = await house.registrar.status(who, operationId)
      if (result.status !== 'assigning') return result
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  const newDevice = () => {
    const id = `dev-${++operations}`
    return house.authenticate(id, credential(id))
  }

  test('puts the device where the webhook says, with the twin and the payload that it brings', async () => {
    let asked: unknown
    answer = (request, response, body) => {
      assert.equal(request.method, 'POST')
      assert.match(String(request.headers['content-type']), /^application\/json/)
      asked = JSON.parse(body)
      const initialTwin = { tags: { by: 'webhook' }, properties: { desired: { rate: 1 } } }
      response.end(JSON.stringify({ iotHubHostName: 'west.example', initialTwin, payload: { hello: 'device' } }))
    }
    const who = await newDevice()
    const registration = assertAssigned(await outcome(who, { model: 'x' }))
    assert.equal(registration.assignedHub, WEST)
    assert.deepEqual(registration.payload, { hello: 'device' })
    const device = await house.device(WEST, who.presentedId)
    assert.deepEqual(device?.twin.tags, { by: 'webhook' })
    assert.deepEqual(device?.twin.desired.values, { rate: 1 })
    const { enrollmentGroup, deviceRuntimeContext, linkedHubs } = asked as Record<string, Record<string, unknown>>
    assert.equal(enrollmentGroup?.['enrollmentGroupId'], 'custom')
    assert.ok(!JSON.stringify(asked).includes(KEY), 'keys are not told')
    assert.deepEqual(deviceRuntimeContext, {
      registrationId: who.registrationId,
      symmetricKey: { enrollmentGroupId: 'custom' },
      payload: { model: 'x' },
    })
    assert.deepEqual(linkedHubs, ['east.example', 'west.example'])
  })

  test('moves a device that the webhook sends elsewhere, and tells it where the device is', async () => {
    const who = await newDevice()
    assertAssigned(await outcome(who))
    let context: unknown
    answer = (_, response, body) => {
      context = (JSON.parse(body) as Record<string, unknown>)['deviceRuntimeContext']
      response.end(JSON.stringify({ iotHubHostName: 'east.example' }))
    }
    assert.equal(assertAssigned(await outcome(who)).substatus, 'deviceDataMigrated')
    assert.equal((context as Record<string, unknown>)['currentIotHubHostName'], 'west.example')
    assert.ok(await house.device(EAST, who.presentedId))
    assert.equal(await house.device(WEST, who.presentedId), null)
  })

  test('joins the operation that is under way', async () => {
    let calls = 0
    const answered = new Promise<ServerResponse>((resolve) => {
      answer = (_, response) => {
        calls++
        resolve(response)
      }
    })
    const who = await newDevice()
    const first = await house.registrar.register(who, {}, { force: false })
    const second = await house.registrar.register(who, {}, { force: true })
    assert.equal(second.operationId, first.operationId)
    const response = await answered
    assert.equal((await house.enrollments.getRegistration(who.registrationId)).status, 'assigning')
    response.end(JSON.stringify({ iotHubHostName: 'west.example' }))
    while ((await house.registrar.status(who, first.operationId)).status === 'assigning')
      await new Promise((resolve) => setImmediate(resolve))
    assert.equal(calls, 1)
  })

  test('is not asked for a device that may not move', async () => {
    const who = await newDevice()
    assertAssigned(await outcome(who))
    const reprovisionPolicy = { updateHubAssignment: false, migrateDeviceData: false }
    await enroll({ reprovisionPolicy })
    answer = () => assert.fail('asked')
    assert.equal(assertAssigned(await house.registrar.register(who, {}, { force: false })).assignedHub, WEST)
    await enroll({})
  })

  const failures: [string, typeof answer][] = [
    ['another status', (_, response) => response.writeHead(500).end('{}')],
    ['text that is no JSON', (_, response) => response.end('<html>')],
    ['another shape', (_, response) => response.end('{"hub":"west.example"}')],
    [
      'a twin of another shape',
      (_, response) => response.end('{"iotHubHostName":"west.example","initialTwin":{"tags":[]}}'),
    ],
    [
      'a twin that breaks the rules',
      (_, response) => response.end('{"iotHubHostName":"west.example","initialTwin":{"tags":{"a.b":1}}}'),
    ],
    ['an unknown hub', (_, response) => response.end('{"iotHubHostName":"north.example"}')],
    ['a hub that the enrollment excludes', (_, response) => response.end('{"iotHubHostName":"east.example"}')],
    ['a redirect', (_, response) => response.writeHead(307, { location: address }).end()],
    ['too much', (_, response) => response.end(' '.repeat(LIMITS.answerBytes + 1))],
    ['nothing in time', () => undefined],
    ['a closed connection', (request) => request.socket.destroy()],
  ]
  for (const [what, badAnswer] of failures) {
    test(`fails in words when the webhook answers ${what}`, async () => {
      await enroll({ iotHubs: ['west.example'] })
      answer = badAnswer
      const who = await newDevice()
      const { status, registration } = await outcome(who)
      assert.equal(status, 'failed')
      assert.equal(registration?.error?.code, 400209)
      const [refusal] = await house.refusals.list({ identity: who.presentedId, limit: 1 })
      assert.equal(refusal?.rule, 'allocation-failed')
      assert.match(refusal?.message ?? '', /^Allocation webhook: /)
      await enroll({})
    })
  }

  test('calls no address over a network in the clear, and none with a password in it', async () => {
    answer = () => assert.fail('asked')
    for (const url of ['http://203.0.113.9/', 'http://localhost.example/', address.replace('//', '//user:pw@')]) {
      await enroll({}, url)
      const { registration } = await outcome(await newDevice())
      assert.equal(registration?.error?.code, 400209)
    }
    await enroll({})
  })

  test('makes a device wait for its turn, and refuses one too many as throttled', async () => {
    const asked: ServerResponse[] = []
    const first = new Promise<void>((resolve) => {
      answer = (_, response) => {
        asked.push(response)
        resolve()
      }
    })
    const devices = await Promise.all([newDevice(), newDevice()])
    const waiting = devices.map((who) => outcome(who))
    await first
    const { registration } = await outcome(await newDevice())
    assert.equal(registration?.error?.code, 429001)
    answer = (_, response) => response.end(JSON.stringify({ iotHubHostName: 'west.example' }))
    assert.equal(asked.length, 1)
    asked[0]?.end(JSON.stringify({ iotHubHostName: 'west.example' }))
    for (const result of await Promise.all(waiting)) assertAssigned(result)
  })
})

test('closing ends the calls under way; their devices register again', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const house = await openProvisioning()
  const draft = {
    enrollmentGroupId: 'custom',
    attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } },
    allocationPolicy: 'custom',
    customAllocationDefinition: { webhookUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
  }
  await house.enrollments.putGroup(draft, null)
  const who = await house.authenticate('dev-1', credential('dev-1'))
  const asked = once(server, 'request')
  const { operationId } = await house.registrar.register(who, {}, { force: false })
  await asked
  await house.registrar.close()
  const { status, registration } = await house.registrar.status(who, operationId)
  assert.equal(status, 'failed')
  assert.equal(registration?.error?.code, 503000)
  await house.registry.registrations.record({ ...registration, status: 'assigning', operationId: 'of-a-former-life' })
  await assert.rejects(house.registrar.status(who, 'of-a-former-life'), { code: 'operation-not-found' })
  await house.close()
  server.closeAllConnections()
  server.close()
})
