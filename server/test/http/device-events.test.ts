import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { keysOf } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { makeDevice, makeRoot } from './certificates.ts'
import { HUB, OTHER_HUB_HOST, startServer } from './running-server.ts'
import type { Ask, RunningServer } from './running-server.ts'
import common from 'azure-iot-common'

const KEY = Buffer.alloc(32, 7).toString('base64')
const PATH = '/devices/d/messages/events?api-version=2021-04-12'

/** Stops the server and reads what it had made durable. */
async function stored(server: RunningServer) {
  await server.stop()
  const clock = { now: () => Date.now() }
  const stores = await openSqliteStores({
    keys: await keysOf(join(server.folder, 'data')),
    folder: join(server.folder, 'data'),
    refusalCapacity: 100,
    clock,
  })
  try {
    const budget = { events: 100, bytes: 1_000_000 }
    const read = (partition: number) => stores.telemetryLog.read(HUB, partition, 0, budget)
    return (await Promise.all([read(0), read(1)])).flat().map(({ event }) => event)
  } finally {
    await stores.close()
  }
}

const putDevice = async (server: RunningServer, authentication: object, more: object = {}) => {
  const reply = await server.operate(`/hubs/${HUB}/devices/d`, { method: 'PUT', body: { authentication, ...more } })
  assert.equal(reply.status, 200, reply.text)
}

async function keyDevice(server: RunningServer) {
  const symmetricKey = { primaryKey: KEY, secondaryKey: KEY }
  await putDevice(server, { type: 'sas', symmetricKey })
  const inAnHour = Math.floor(Date.now() / 1000) + 3600
  const authorization = common.SharedAccessSignature.create('plant.test/devices/d', '', KEY, inAnHour).toString()
  const post = (body: Ask['body'], headers: Record<string, string> = {}) =>
    server.ask(PATH, {
      method: 'POST',
      headers: { authorization, ...headers },
      ...(body === undefined ? {} : { body }),
    })
  return { authorization, post }
}

test('a message is durable with its properties before it is answered', async (t) => {
  const server = await startServer(t)
  const { post } = await keyDevice(server)
  const reply = await post(new Uint8Array([0, 255, 1]), {
    'content-type': 'application/octet-stream',
    'IoTHub-MessageId': 'm1',
    'iothub-contenttype': 'application/json',
    'iothub-to': '/devices/d/messages/events',
    'iothub-app-Alert': 'yes',
    'dt-subject': 'sensor',
    'IoTHub-Expiry': 'Tue Nov 24 2026 08:00:00 GMT+0000 (Coordinated Universal Time)',
  })
  assert.deepEqual([reply.status, reply.text], [204, ''])
  assert.equal((await post(undefined)).status, 204)
  const [event, ...others] = await stored(server)
  assert.deepEqual(
    others.map(({ body }) => body.length),
    [0],
  )
  assert.deepEqual([...(event?.body ?? [])], [0, 255, 1])
  assert.deepEqual(event?.application, { Alert: 'yes' })
  assert.deepEqual(event?.properties, {
    messageId: 'm1',
    contentType: 'application/json',
    to: '/devices/d/messages/events',
    subject: 'sensor',
    expiry: '2026-11-24T08:00:00.000Z',
  })
})

test('a batch is taken whole or not at all', async (t) => {
  const server = await startServer(t)
  const { post } = await keyDevice(server)
  const batch = (body: unknown) =>
    post(JSON.stringify(body), { 'content-type': 'application/vnd.microsoft.iothub.json' })
  const good = [
    { body: Buffer.from('one').toString('base64'), properties: { 'iothub-app-n': '1', 'IoTHub-MessageId': 'a' } },
    { body: 'two', base64Encoded: false },
  ]
  assert.equal((await batch(good)).status, 204)
  for (const bad of [[], {}, [{ body: 1 }], [...good, { body: '*' }], Array.from({ length: 501 }, () => good[1])])
    assert.equal((await batch(bad)).status, 400)
  const events = await stored(server)
  assert.deepEqual(
    events.map(({ body }) => Buffer.from(body).toString()),
    ['one', 'two'],
  )
  assert.deepEqual([events[0]?.application, events[0]?.properties], [{ n: '1' }, { messageId: 'a' }])
})

test('a device sends by its certificate, with a blank Authorization as the C SDK has it', async (t) => {
  const server = await startServer(t)
  const root = await makeRoot('Plant root')
  const authority = { certificate: root.pem, verified: true }
  await server.operate(`/hubs/${HUB}/authorities/root`, { method: 'PUT', body: authority })
  await putDevice(server, { type: 'certificateAuthority' })
  const identity = await makeDevice(root, 'd')
  const send = (ask: Ask) => server.ask(PATH, { method: 'POST', body: 'x', ...ask })
  assert.equal((await send({ identity, headers: { authorization: ' ' } })).status, 204)
  assert.equal((await send({})).status, 401)
  assert.equal((await send({ identity: await makeDevice(root, 'e') })).status, 401)
  assert.equal((await send({ identity, host: OTHER_HUB_HOST })).status, 401)
  const other = await makeRoot('Plant root')
  assert.equal((await send({ identity: await makeDevice(other, 'd') })).status, 401)
})

test('refusals: too large, no token, disabled, what is not offered', async (t) => {
  const server = await startServer(t)
  const { post, authorization } = await keyDevice(server)
  const large = await post(new Uint8Array(256 * 1024 + 1))
  assert.deepEqual([large.status, large.headers['iothub-errorcode']], [413, 'MessageTooLarge'])
  assert.equal((await server.ask(PATH, { method: 'POST', body: 'x' })).status, 401)
  assert.equal((await post('x', { 'IoTHub-Expiry': 'soon' })).status, 400)

  for (const [method, path] of [
    ['GET', '/devices/d/messages/deviceBound'],
    ['POST', '/devices/d/files/'],
  ] as const) {
    const reply = await server.ask(`${path}?api-version=2021-04-12`, { method, headers: { authorization } })
    assert.deepEqual([reply.status, reply.headers['iothub-errorcode']], [501, 'NotImplemented'])
  }
  await server.operate(`/hubs/${HUB}/devices/d`, { method: 'PATCH', body: { status: 'disabled' } })
  const refused = await post('x')
  assert.deepEqual([refused.status, refused.headers['iothub-errorcode']], [403, 'DeviceDisabled'])
  assert.equal((await stored(server)).length, 0)
})
