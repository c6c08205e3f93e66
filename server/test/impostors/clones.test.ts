import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEPOT, makeIdentity, openSite, PLANT } from './site.ts'

const alwaysTheSame = (size: number) => new Uint8Array(size).fill(0x42)

test('one key in the hands of two devices is reported, also when the server was restarted in between', async (t) => {
  const site = await openSite(t)
  await site.operator.createDevice(PLANT, 'press-1')
  await site.operator.createDevice(PLANT, 'press-2')
  const first = await makeIdentity(site.root, 'press-1')
  const copy = await makeIdentity(site.root, 'press-2', { key: first.privateKey })
  await site.live('press-1', first)
  await site.restart()
  await site.live('press-2', copy)
  const alarm = await site.alarm({ kind: 'key-shared' })
  assert.equal(alarm.subject, 'press-2')
  assert.deepEqual(
    alarm.evidence.map(({ deviceId }) => deviceId),
    ['press-1', 'press-2'],
  )
  assert.match(alarm.remedy, /key of its own/)
})

test('one certificate at two hubs is reported; a device that was deleted here may go there', async (t) => {
  const site = await openSite(t)
  const copied = await site.device('press-1')
  const moved = await site.device('press-2')
  await site.operator.createDevice(DEPOT, 'press-1')
  await site.operator.createDevice(DEPOT, 'press-2')
  await site.live('press-2', moved)
  await site.operator.call('DELETE', `/holdfast/v1/hubs/${PLANT}/devices/press-2`)
  await site.live('press-2', moved, { hub: DEPOT })
  await site.live('press-1', copied)
  await site.live('press-1', copied, { hub: DEPOT })
  const alarm = await site.alarm({ kind: 'certificate-at-two-hubs' })
  assert.equal(alarm.subject, 'press-1')
  assert.deepEqual(
    alarm.evidence.map(({ hub }) => hub),
    [PLANT, DEPOT],
  )
  assert.equal((await site.alarms()).length, 1)
})

test('a serial number with two keys is reported; a certificate that was renewed for its key is not', async (t) => {
  const site = await openSite(t)
  const first = await makeIdentity(site.root, 'press-1')
  const renewed = await makeIdentity(site.root, 'press-1', { key: first.privateKey })
  const one = await makeIdentity(site.root, 'press-2', { random: alwaysTheSame })
  const other = await makeIdentity(site.root, 'press-3', { random: alwaysTheSame })
  for (const id of ['press-1', 'press-2', 'press-3']) await site.operator.createDevice(PLANT, id)
  await site.live('press-1', first)
  await site.live('press-1', renewed)
  await site.live('press-2', one)
  await site.live('press-3', other)
  const alarm = await site.alarm({ kind: 'serial-reused' })
  assert.deepEqual(
    alarm.evidence.map(({ deviceId }) => deviceId),
    ['press-2', 'press-3'],
  )
  assert.equal(new Set(alarm.evidence.map(({ certificate }) => certificate?.serial)).size, 1)
  assert.equal((await site.alarms()).length, 1)
})
