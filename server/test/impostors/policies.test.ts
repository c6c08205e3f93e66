import assert from 'node:assert/strict'
import { test } from 'node:test'
import mqtt from 'mqtt'
import { HUB_HOST } from '../e2e/whole-server.ts'
import { packet } from '../mqtt/packet-bytes.ts'
import { keepAlive, openSite, PLANT, report, returnCode } from './site.ts'

const UNAVAILABLE = 3
const NOT_AUTHORIZED = 5

test('by default the newer session takes over, and a device that moves once alarms nobody', async (t) => {
  const site = await openSite(t)
  const identity = await site.device('press-1')
  const older = await site.live('press-1', identity)
  const newer = await site.live('press-1', identity, { from: '127.0.0.2' })
  await older.closed
  await report(newer, 'press-1')
  assert.deepEqual(await site.alarms(), [])
})

test('an identity that goes to and fro between addresses is reported once, with where it was', async (t) => {
  const site = await openSite(t)
  const identity = await site.device('press-1')
  for (const from of ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2', '127.0.0.1'])
    await site.live('press-1', identity, { from })
  const alarm = await site.alarm({ kind: 'identity-flapping' })
  assert.equal(alarm.subject, 'press-1')
  assert.match(alarm.message, /taken over 3 times within a minute, 3 times from another address/)
  assert.deepEqual(
    alarm.evidence.map(({ address }) => address),
    ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2'],
  )
  assert.ok(alarm.evidence.every(({ certificate }) => certificate?.subject.includes('press-1')))
  assert.equal((await site.alarms()).length, 1)
})

test('refuse-new keeps the session that lives, tells who came, and lets a newer one in when it has gone', async (t) => {
  const site = await openSite(t, { duplicates: 'refuse-new' })
  const identity = await site.device('press-1')
  const older = await site.live('press-1', identity)
  const newcomer = await site.dial('press-1', identity, { from: '127.0.0.2' })
  assert.equal(await returnCode(newcomer), UNAVAILABLE)
  const refusal = await site.operator.refusal({ identity: 'press-1', rule: 'identity-in-use' })
  assert.equal(refusal.peer.address, '127.0.0.2')
  assert.match(refusal.message, /has a session from 127\.0\.0\.1/)
  await report(older, 'press-1')
  assert.deepEqual(await site.alarms(), [], 'a sign of life that may have been under way accuses nobody')

  keepAlive(older)
  const alarm = await site.alarm({ kind: 'identity-duplicated' })
  assert.deepEqual(new Set(alarm.evidence.map(({ address }) => address)), new Set(['127.0.0.1', '127.0.0.2']))
  older.socket.end(packet(0xe0))
  await older.closed
  await report(await site.live('press-1', identity, { from: '127.0.0.2' }), 'press-1')
})

test('two clones with one certificate under quarantine: both are shut out until a person decides', async (t) => {
  const site = await openSite(t)
  const identity = await site.device('press-1')
  await site.setPolicy('press-1', 'quarantine')
  const older = await site.live('press-1', identity)
  keepAlive(older)
  const clone = await site.dial('press-1', identity, { from: '127.0.0.2' })
  assert.equal(await returnCode(clone), UNAVAILABLE)
  await older.closed

  const alarm = await site.alarm({ kind: 'identity-duplicated' })
  assert.match(
    alarm.message,
    /connected from 127\.0\.0\.2 port \d+ while its session from 127\.0\.0\.1 port \d+ was alive/,
  )
  assert.equal(new Set(alarm.evidence.map(({ certificate }) => certificate?.sha256)).size, 1)

  for (const from of ['127.0.0.1', '127.0.0.2']) {
    const barred = await site.dial('press-1', identity, { from })
    assert.equal(await returnCode(barred), NOT_AUTHORIZED)
  }
  const refusal = await site.operator.refusal({ identity: 'press-1', rule: 'device-quarantined' })
  assert.equal(refusal.evidence['alarm'], alarm.id)

  // Neither switching it off and on nor a restart is a way round.
  await site.operator.setStatus(PLANT, 'press-1', 'disabled')
  await site.operator.setStatus(PLANT, 'press-1', 'enabled')
  await site.restart()
  assert.equal(await returnCode(await site.dial('press-1', identity)), NOT_AUTHORIZED)
  const shown = (await site.operator.device(PLANT, 'press-1')) as unknown as Record<string, unknown>
  assert.equal((shown['quarantine'] as { alarm: string }).alarm, alarm.id)
  assert.equal(shown['duplicates'], 'quarantine')

  assert.equal((await site.release('press-1')).quarantine, null)
  await report(await site.live('press-1', identity), 'press-1')
})

test('a device whose old session just ended comes in under every policy', async (t) => {
  const site = await openSite(t)
  const identity = await site.device('press-1')
  for (const policy of ['take-over', 'refuse-new', 'quarantine']) {
    await site.setPolicy('press-1', policy)
    const first = await site.live('press-1', identity)
    first.socket.destroy()
    await first.closed
    // The server may learn of the end a moment after the client.
    for (let code = UNAVAILABLE; code !== 0;) {
      const next = await site.dial('press-1', identity)
      code = await returnCode(next)
      if (code === 0) next.socket.destroy()
      else assert.equal(code, UNAVAILABLE)
    }
  }
  assert.deepEqual(
    (await site.alarms()).filter(({ kind }) => kind === 'identity-duplicated'),
    [],
  )
})

test('two MQTT.js clients on one identity end up in quarantine by themselves', async (t) => {
  const site = await openSite(t, { duplicates: 'quarantine' })
  const { cert, key } = await site.device('press-1')
  const clients = ['127.0.0.1', '127.0.0.3'].map((localAddress) =>
    mqtt.connect({
      protocol: 'mqtts',
      host: HUB_HOST,
      servername: HUB_HOST,
      port: site.ports.mqtt,
      clientId: 'press-1',
      username: `${HUB_HOST}/press-1/?api-version=2021-04-12`,
      ca: site.operator.ca,
      cert,
      key,
      keepalive: 1,
      reconnectPeriod: 100,
      localAddress,
    } as mqtt.IClientOptions),
  )
  t.after(() => Promise.all(clients.map((client) => client.endAsync(true))))
  for (const client of clients) client.on('error', () => {})
  const alarm = await site.alarm({ kind: 'identity-duplicated' })
  assert.deepEqual(new Set(alarm.evidence.map(({ address }) => address)), new Set(['127.0.0.1', '127.0.0.3']))
  await site.operator.refusal({ identity: 'press-1', rule: 'device-quarantined' })
})
