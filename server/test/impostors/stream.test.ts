import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ReceivedEventData } from '@azure/event-hubs'
import { Hubs, operationsStreamOf } from '../../src/hub/hubs.ts'
import { Operations } from '../../src/hub/operations/operations.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { parseHubName } from '../../src/model/ids.ts'
import type { Refusal } from '../../src/model/refusal.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { readEverything, readUntil } from '../e2e/event-reading.ts'
import { packet } from '../mqtt/packet-bytes.ts'
import { makeIdentity, makeTrouble, openSite, PLANT, report, returnCode } from './site.ts'
import type { Site } from './site.ts'

type Shown = ReceivedEventData & { body: Record<string, unknown> }

const OPERATIONS = `${PLANT}-operations`

async function connectionString(site: Site, entity: string): Promise<string> {
  const telemetry = await site.operator.eventsConnectionString(PLANT)
  return telemetry.replace(/EntityPath=.*$/, `EntityPath=${entity}`)
}

async function readStream(site: Site, entity: string): Promise<readonly Shown[]> {
  return readEverything(await connectionString(site, entity))
}

/** Nobody who causes an event waits for it to be in the stream: reads until one of each type has come. */
async function readUntilTypes(site: Site, entity: string, ...opTypes: string[]): Promise<readonly Shown[]> {
  return readUntil(await connectionString(site, entity), (events) =>
    opTypes.every((opType) => ofType(events, opType).length > 0),
  )
}

function ofType(events: readonly Shown[], opType: string): readonly Shown[] {
  return events.filter(({ properties }) => properties?.['opType'] === opType)
}

test('the Event Hubs client reads what happens at a hub, in order, beside a stream of telemetry alone', async (t) => {
  const site = await openSite(t)
  const identity = await site.device('press-1')
  const client = await site.live('press-1', identity)
  await report(client, 'press-1')
  client.socket.end(packet(0xe0))
  await client.closed
  assert.equal(await returnCode(await site.dial('stranger', await makeIdentity(site.root, 'stranger'))), 5)
  await site.operator.call('POST', `/holdfast/v1/hubs/${PLANT}/revocations`, { device: 'press-1' })
  await site.operator.call('DELETE', `/holdfast/v1/hubs/${PLANT}/devices/press-1`)

  const events = await readUntilTypes(site, OPERATIONS, 'deleteDeviceIdentity')
  const sequences = events.map(({ sequenceNumber }) => sequenceNumber)
  assert.deepEqual(sequences, [...sequences.keys()])
  const [created] = ofType(events, 'createDeviceIdentity')
  assert.equal(created?.systemProperties?.['iothub-message-source'], 'deviceLifecycleEvents')
  assert.equal(created?.properties?.['iothub-message-schema'], 'deviceLifecycleNotification')
  assert.equal(created?.body['deviceId'], 'press-1')
  assert.equal(ofType(events, 'deleteDeviceIdentity').length, 1)

  const [connected] = ofType(events, 'deviceConnected')
  const [disconnected] = ofType(events, 'deviceDisconnected')
  assert.ok(connected && disconnected)
  assert.equal(connected.systemProperties?.['iothub-message-source'], 'deviceConnectionStateEvents')
  assert.equal(connected.contentType, 'application/json')
  assert.deepEqual([connected.properties?.['hubName'], connected.properties?.['deviceId']], [PLANT, 'press-1'])
  assert.ok(
    BigInt(`0x${String(disconnected.body['sequenceNumber'])}`) >
      BigInt(`0x${String(connected.body['sequenceNumber'])}`),
  )

  const [refused] = ofType(events, 'attemptRefused')
  assert.equal(refused?.systemProperties?.['iothub-message-source'], 'holdfastSecurityEvents')
  assert.deepEqual([refused?.body['rule'], refused?.body['identity']], ['device-unknown', 'stranger'])
  assert.equal(refused?.properties?.['deviceId'], undefined, 'nobody proved to be it')
  assert.ok(ofType(events, 'trustRevoked').some(({ body }) => body['kind'] === 'device'))

  const telemetry = await readStream(site, PLANT)
  assert.equal(telemetry.length, 1)
  assert.equal(telemetry[0]?.systemProperties?.['iothub-message-source'], 'Telemetry')
})

test('a hub may have its connection states in the telemetry stream too', async (t) => {
  const site = await openSite(t, { events: ['connection'] })
  await site.live('press-1', await site.device('press-1'))
  const telemetry = await readUntilTypes(site, PLANT, 'deviceConnected')
  assert.deepEqual(
    telemetry.map(({ properties }) => properties?.['opType']),
    ['deviceConnected'],
  )
})

test('the Event Hubs client reads a refusal, a revocation and a clone as security events', async (t) => {
  const site = await openSite(t)
  const { refusal, alarm } = await makeTrouble(site)
  const events = await readUntilTypes(site, OPERATIONS, 'attemptRefused', 'trustRevoked', 'alarmRaised')
  const security = events.filter(
    ({ systemProperties }) => systemProperties?.['iothub-message-source'] === 'holdfastSecurityEvents',
  )
  assert.ok(
    security.every(
      ({ properties, contentType }) =>
        properties?.['iothub-message-schema'] === 'holdfastSecurityNotification' &&
        properties['hubName'] === PLANT &&
        contentType === 'application/json',
    ),
  )

  const [refused] = ofType(security, 'attemptRefused')
  assert.deepEqual([refused?.body['trackingId'], refused?.body['rule']], [refusal.trackingId, 'device-unknown'])

  const revoked = ofType(security, 'trustRevoked')
  assert.deepEqual(revoked.map(({ body }) => body['kind']).toSorted(), ['certificate', 'device'])
  assert.ok(
    revoked.every(({ body }) => body['reason'] === 'keyCompromise' && body['by'] === 'Ada (logged in as owner)'),
  )
  const ofDevice = revoked.find(({ body }) => body['kind'] === 'device')
  assert.equal(ofDevice?.properties?.['deviceId'], 'victim')

  const raised = ofType(security, 'alarmRaised')
  assert.equal(raised.length, 1)
  const { id, kind, subject, message, remedy, evidence } = alarm
  assert.deepEqual(raised[0]?.body, { id, kind, subject, message, remedy, evidence })
  assert.equal(raised[0]?.properties?.['deviceId'], 'original')
})

test('a stream that is not there cannot be read', async (t) => {
  const site = await openSite(t)
  await assert.rejects(readStream(site, `${PLANT}-secrets`))
  await assert.rejects(readStream(site, `${PLANT}-operations-operations`))
})

test('a flood of refusals takes a bounded part of the stream, which says how much is missing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-flood-'))
  t.after(() => rm(folder, { recursive: true }))
  const clock = { time: 1_700_000_000_000, now: () => clock.time }
  const stores = await openSqliteStores({ keys: DATA_KEYS, folder, refusalCapacity: 100, clock })
  t.after(() => stores.close())
  const hub = parseHubName('plant')
  const hubs = new Hubs([{ name: hub, hosts: ['plant.test'], partitions: 1 }])
  const random = { bytes: (count: number) => randomBytes(count) }
  const logger = createLog({ level: 'silent' })
  const metrics = new Metrics()
  const operations = new Operations({
    hubs,
    log: stores.telemetryLog,
    clock,
    random,
    logger,
    metrics,
    twinOf: () => ({}),
  })
  for (let count = 0; count < 20_000; count++) operations.refused(REFUSAL)
  await operations.flush()
  const stream = operationsStreamOf(hub)
  assert.equal((await stores.telemetryLog.bounds(stream, 0)).next, 100)

  clock.time += 1_000
  operations.refused(REFUSAL)
  await operations.flush()
  const [gap, last] = await stores.telemetryLog.read(stream, 0, 100, { events: 10, bytes: 1_000_000 })
  assert.equal(gap?.event.application['opType'], 'eventsDropped')
  assert.deepEqual(JSON.parse(Buffer.from(gap?.event.body ?? []).toString()), { dropped: 19_900 })
  assert.equal(last?.event.application['opType'], 'attemptRefused')
})

const REFUSAL: Refusal = {
  trackingId: 'a'.repeat(32),
  time: 1_700_000_000_000,
  area: 'connect',
  hub: parseHubName('plant'),
  protocol: 'mqtt',
  peer: { address: '192.0.2.1', port: 1 },
  identity: 'press-1',
  rule: 'device-unknown',
  message: 'There is no such device.',
  remedy: 'Create it.',
  chain: [],
  evidence: {},
}
