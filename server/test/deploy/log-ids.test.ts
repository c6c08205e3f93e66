import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import mqtt from 'mqtt'
import type { MqttClient } from 'mqtt'
import { HUB, makeFolder } from '../at-rest/whole-folder.ts'
import type { Started } from '../at-rest/whole-folder.ts'
import { sasToken } from '../hub/workbench.ts'
import { LogLines } from './log-lines.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')
const TIMEOUT = { timeout: 30_000 }

/** A device as its SDK makes it, with a token under this key. */
function dial(server: Started, deviceId: string, key = KEY): Promise<MqttClient> {
  const se = Math.floor(Date.now() / 1000) + 600
  const password = sasToken({ sr: `plant.test%2Fdevices%2F${deviceId}`, key, se })
  const ca = readFileSync(server.rootFile ?? '')
  const place = { servername: 'plant.test', ca, reconnectPeriod: 0, protocolVersion: 4 as const }
  const username = `plant.test/${deviceId}/?api-version=2021-04-12`
  const settings = { ...place, clientId: deviceId, username, password }
  return mqtt.connectAsync(`mqtts://127.0.0.1:${server.ports.mqtt}`, settings, false)
}

async function addDevice(server: Started, deviceId: string): Promise<void> {
  const symmetricKey = { primaryKey: KEY, secondaryKey: KEY }
  await server.operate('PUT', `/hubs/${HUB}/devices/${deviceId}`, { authentication: { type: 'sas', symmetricKey } })
}

test('a connect, a message, a refusal and a close are lines with the ids that belong together', TIMEOUT, async (t) => {
  const written = new LogLines('debug')
  const server = await makeFolder(t).start({ environment: { log: written.log } })
  await addDevice(server, 'pump-1')
  const client = await dial(server, 'pump-1')
  const connected = await written.saying('a device connected')
  const { sessionId } = connected
  assert.match(String(sessionId), /^[0-9a-f]{32}$/)
  const about = { hub: HUB, deviceId: 'pump-1', sessionId, protocol: 'mqtt', address: '127.0.0.1' }
  assert.partialDeepStrictEqual(connected, about)

  await client.publishAsync('devices/pump-1/messages/events/', 'told to nobody', { qos: 1 })
  const stored = await written.saying('a message was stored')
  assert.partialDeepStrictEqual(stored, { ...about, bytes: 14, sequence: 0 })

  await assert.rejects(dial(server, 'pump-1', Buffer.alloc(32, 8).toString('base64')))
  const { value } = await server.operate<{ value: { trackingId: string; rule: string }[] }>(
    'GET',
    '/refusals?identity=pump-1&after=0&wait=5&limit=1',
  )
  const [refusal] = value
  const refused = written.lines.find(({ trackingId }) => trackingId === refusal?.trackingId)
  assert.partialDeepStrictEqual(refused, { identity: 'pump-1', hub: HUB, rule: refusal?.rule, address: '127.0.0.1' })

  await client.endAsync()
  assert.partialDeepStrictEqual(await written.saying('a device disconnected'), { ...about, reason: 'left' })
  const from = written.lines.length
  const again = await dial(server, 'pump-1')
  await server.operate('PATCH', `/hubs/${HUB}/devices/pump-1`, { status: 'disabled' })
  const closed = await written.saying('a device disconnected', from)
  assert.partialDeepStrictEqual(closed, { deviceId: 'pump-1', reason: 'device-changed' })
  assert.notEqual(closed['sessionId'], sessionId)
  again.end(true)
  assert.ok(!written.lines.some((line) => JSON.stringify(line).includes('told to nobody')))
})

test('a fleet that comes, talks and goes writes nothing at the level of every day', TIMEOUT, async (t) => {
  const written = new LogLines('info')
  const server = await makeFolder(t).start({ environment: { log: written.log } })
  await addDevice(server, 'pump-1')
  const from = written.lines.length
  const client = await dial(server, 'pump-1')
  await client.publishAsync('devices/pump-1/messages/events/', '1', { qos: 1 })
  await client.endAsync()
  await assert.rejects(dial(server, 'nobody'))
  await written.saying(/./, from)
  assert.deepEqual(
    written.lines.slice(from).map(({ identity }) => identity),
    ['nobody'],
  )
})

test('every log line of the rooms that deal with devices says which', () => {
  const root = join(import.meta.dirname, '..', '..', 'src')
  const NAMED = /aboutSession|aboutRefusal|aboutRequest|deviceId|registrationId|identity|\bpeer\b|subject|labelOf|alarm/
  // Of all devices at once: no one of them is meant.
  const ALL =
    /tokens of readers|live connections could not be judged|credentials could not be compared|amqp request failed|amqp link failed/
  const unnamed: string[] = []
  for (const room of ['mqtt', 'amqp', 'http', 'provisioning', 'hub/sessions', 'hub/door', 'hub/refusals']) {
    for (const path of globSync(`${room}/**/*.ts`, { cwd: root })) {
      const text = readFileSync(join(root, path), 'utf8')
      for (const [call] of text.matchAll(/\blog\s*\.(?:fatal|error|warn|info)\([^]*?\n? *'[^']*',?\s*\)/g))
        if (!NAMED.test(call) && !ALL.test(call)) unnamed.push(`${path}: ${call}`)
    }
  }
  assert.deepEqual(unnamed, [])
})
