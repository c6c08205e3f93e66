import assert from 'node:assert/strict'
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Alarms } from '../../src/hub/alarms.ts'
import { Hubs } from '../../src/hub/hubs.ts'
import { Operations } from '../../src/hub/operations/operations.ts'
import { Webhooks } from '../../src/hub/operations/webhooks.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { parseDeviceId, parseHubName } from '../../src/model/ids.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { makeTrouble, openSite, PLANT } from './site.ts'
import type { Site } from './site.ts'

interface Delivered {
  readonly id: string
  readonly type: string
  readonly category: string
  readonly deviceId: string | null
  readonly data: Record<string, unknown>
}

interface Call {
  /** ms. */
  readonly received: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly data: readonly Delivered[]
}

interface AddedWebhook {
  readonly id: string
  readonly secret: string
}

/** An HTTP server that records each call; `answer` says what it does with the next ones. */
async function openReceiver(t: TestContext) {
  const calls: Call[] = []
  const accepted: Delivered[] = []
  let wake: (() => void) | null = null
  const receiver = {
    url: '',
    calls,
    accepted,
    answer: (response: ServerResponse): void => void response.writeHead(204).end(),
    /** Resolves when the condition holds, looking after each call. */
    async until(holds: () => boolean): Promise<void> {
      while (!holds()) await new Promise<void>((resolve) => (wake = resolve))
    },
  }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const { data } = JSON.parse(body) as { data: Delivered[] }
      calls.push({ received: Date.now(), headers: request.headers, body, data })
      receiver.answer(response)
      if (response.statusCode < 300 && response.writableEnded) accepted.push(...data)
      wake?.()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return receiver
}

/** As a receiver does it that knows nothing but Standard Webhooks. */
function verify({ received, headers, body }: Call, secret: string): void {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const signed = `${headers['webhook-id'] as string}.${headers['webhook-timestamp'] as string}.${body}`
  const expected = createHmac('sha256', key).update(signed).digest()
  const [version, signature = ''] = String(headers['webhook-signature']).split(',')
  assert.equal(version, 'v1')
  assert.ok(timingSafeEqual(Buffer.from(signature, 'base64'), expected))
  assert.ok(Math.abs(received / 1_000 - Number(headers['webhook-timestamp'])) < 60)
}

const hooks = `/holdfast/v1/hubs/${PLANT}/webhooks`
const addWebhook = (site: Site, url: string, events?: string[]): Promise<AddedWebhook> =>
  site.operator.call('POST', hooks, { url, ...(events && { events }) })
const makeDevices = async (site: Site, ...ids: string[]): Promise<void> => {
  for (const id of ids) await site.operator.createDevice(PLANT, id)
}
const devicesOf = (events: readonly Delivered[]) => events.map(({ deviceId }) => deviceId)

test('a receiver that fails, sleeps and redirects gets every event in order once it accepts, also after a restart', async (t) => {
  const site = await openSite(t, {}, { webhooks: { timeoutSeconds: 1 } })
  const receiver = await openReceiver(t)
  await makeDevices(site, 'before')
  const { secret } = await addWebhook(site, receiver.url, ['lifecycle'])
  assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)

  await makeDevices(site, 'd1')
  await receiver.until(() => receiver.accepted.length === 1)
  receiver.answer = (response) => void response.writeHead(500).end('not now')
  await makeDevices(site, 'd2', 'd3')
  await receiver.until(() => receiver.calls.length >= 2)
  receiver.answer = () => {}
  await receiver.until(() => receiver.calls.length >= 3)
  receiver.answer = (response) => void response.writeHead(307, { location: `${receiver.url}?elsewhere` }).end()
  await receiver.until(() => receiver.calls.length >= 4)
  assert.equal(receiver.accepted.length, 1)

  await site.restart()
  await makeDevices(site, 'd4')
  receiver.answer = (response) => void response.writeHead(200).end('x'.repeat(1_000_000))
  await receiver.until(() => receiver.accepted.length >= 4)
  assert.deepEqual(devicesOf(receiver.accepted), ['d1', 'd2', 'd3', 'd4'])
  assert.equal(new Set(receiver.accepted.map(({ id }) => id)).size, 4)
  assert.ok(
    receiver.accepted.every(({ type, category }) => type === 'createDeviceIdentity' && category === 'lifecycle'),
  )
  for (const call of receiver.calls) verify(call, secret)

  const { value } = await site.operator.call<{ value: { lastError: null; secret?: string }[] }>('GET', hooks)
  assert.equal(value[0]?.secret, undefined)
})

test('unless told otherwise a webhook gets what is about security, signed, and again after a 500', async (t) => {
  const site = await openSite(t)
  const receiver = await openReceiver(t)
  const { secret } = await addWebhook(site, receiver.url)
  receiver.answer = (response) => void response.writeHead(500).end()
  const { refusal, alarm } = await makeTrouble(site)
  await receiver.until(() => receiver.calls.length >= 2)
  assert.equal(new Set(receiver.calls.map(({ headers }) => headers['webhook-id'])).size, 1, 'a retry keeps its id')
  assert.equal(receiver.accepted.length, 0)

  receiver.answer = (response) => void response.writeHead(204).end()
  await receiver.until(() => receiver.accepted.some(({ type }) => type === 'alarmRaised'))
  for (const call of receiver.calls) {
    verify(call, secret)
    assert.throws(() => verify({ ...call, body: `${call.body} ` }, secret), 'altered on the way')
  }
  const { accepted } = receiver
  assert.ok(accepted.every(({ category }) => category === 'security'))
  assert.deepEqual(
    accepted.map(({ type }) => type),
    ['attemptRefused', 'trustRevoked', 'trustRevoked', 'alarmRaised'],
  )
  assert.deepEqual(devicesOf(accepted), [null, 'victim', null, 'original'])
  assert.equal(accepted[0]?.data['trackingId'], refusal.trackingId)
  assert.deepEqual([accepted[3]?.data['id'], accepted[3]?.data['kind']], [alarm.id, 'key-shared'])
})

test('what a webhook did not ask for is not sent to it', async (t) => {
  const site = await openSite(t)
  const receiver = await openReceiver(t)
  await addWebhook(site, receiver.url, ['connection'])
  await site.live('d1', await site.device('d1'))
  await receiver.until(() => receiver.accepted.length === 1)
  assert.deepEqual(
    receiver.accepted.map(({ type }) => type),
    ['deviceConnected'],
  )
})

test('a receiver that is gone for good disables its webhook, with an alarm; enabled again it misses nothing', async (t) => {
  const site = await openSite(t)
  const receiver = await openReceiver(t)
  const { id } = await addWebhook(site, receiver.url, ['lifecycle'])
  receiver.answer = (response) => void response.writeHead(410).end()
  await makeDevices(site, 'd1')
  const alarm = await site.alarm({ kind: 'webhook-disabled' })
  assert.equal(alarm.subject, id)
  await makeDevices(site, 'd2')
  receiver.answer = (response) => void response.writeHead(204).end()
  await site.restart()
  await site.operator.call('POST', `${hooks}/${id}/enable`)
  await receiver.until(() => receiver.accepted.length === 2)
  assert.deepEqual(devicesOf(receiver.accepted), ['d1', 'd2'])

  await site.operator.call('DELETE', `${hooks}/${id}`)
  await assert.rejects(site.operator.call('POST', `${hooks}/${id}/enable`), /404/)
})

test('addresses that anybody could listen at are not taken', async (t) => {
  const site = await openSite(t)
  for (const url of [
    'http://192.0.2.1/',
    'ftp://localhost/',
    'https://user:word@example.com/',
    'hook',
    'http://localhost.example.com/',
  ])
    await assert.rejects(addWebhook(site, url, ['security']), /400/, url)
  await assert.rejects(addWebhook(site, 'https://example.com/', []), /400/)
  await assert.rejects(addWebhook(site, 'https://example.com/', ['telemetry']), /400/)
})

test('a webhook that has failed for too long is disabled; many events come in few messages', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-webhooks-'))
  t.after(() => rm(folder, { recursive: true }))
  const clock = { skew: 0, now: () => Date.now() + clock.skew }
  const random = { bytes: (count: number) => randomBytes(count) }
  const logger = createLog({ level: 'silent' })
  const metrics = new Metrics()
  const {
    registry,
    telemetryLog: log,
    ...stores
  } = await openSqliteStores({ keys: DATA_KEYS, folder, refusalCapacity: 100, clock })
  const hub = parseHubName('plant')
  const hubs = new Hubs([{ name: hub, hosts: ['plant.test'], partitions: 1 }])
  const alarms = new Alarms({ registry, clock, random, log: logger, metrics })
  const operations = new Operations({ hubs, log, clock, random, logger, metrics, twinOf: () => ({}) })
  const limits = { timeoutMs: 1_000, retryMs: 5, longestRetryMs: 20, disableAfterMs: 60_000 }
  const webhooks = await Webhooks.open({
    hubs,
    operations,
    log,
    registry,
    alarms,
    clock,
    random,
    logger,
    metrics,
    limits,
  })
  t.after(async () => {
    await webhooks.close()
    await alarms.close()
    await stores.close()
  })
  const receiver = await openReceiver(t)
  receiver.answer = (response) => void response.writeHead(503).end()
  const { id } = await webhooks.add(hub, receiver.url, ['lifecycle'])
  const names = Array.from({ length: 250 }, (_, index) => `d${index}`)
  for (const name of names) operations.deleted({ hub, deviceId: parseDeviceId(name) })
  await operations.flush()
  await receiver.until(() => receiver.calls.length >= 5)
  assert.equal(new Set(receiver.calls.map(({ headers }) => headers['webhook-id'])).size, 1, 'a retry keeps its id')

  const disabled = new Promise<string>((resolve) => alarms.onRaise(({ kind }) => resolve(kind)))
  clock.skew = 61_000
  assert.equal(await disabled, 'webhook-disabled')
  receiver.answer = (response) => void response.writeHead(204).end()
  await webhooks.enable(hub, id)
  await receiver.until(() => receiver.accepted.length >= 250)
  assert.deepEqual(devicesOf(receiver.accepted), names)
  assert.ok(receiver.calls.every(({ data }) => data.length <= 100))
})
