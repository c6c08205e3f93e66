import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { deviceOf, readEverything } from '../e2e/event-reading.ts'
import { SpawnedServer } from '../e2e/spawned-server.ts'
import { HUB } from '../e2e/whole-server.ts'
import { makeFleet } from './fleet.ts'

const DISK = '24m'
const BALLAST_BYTES = 8 * 1024 * 1024
const MESSAGE_BYTES = 8_000
const AFTERWARDS = 100

const place = mkdtempSync(join(tmpdir(), 'holdfast-disk-'))
const disk = join(place, 'disk')
mkdirSync(disk)
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'holdfast-test', disk])
const skip = mounted.status === 0 ? false : 'a small file system cannot be mounted here: run as root'

describe('a disk that is full', { skip }, () => {
  const ballast = join(disk, 'ballast')
  const data = join(disk, 'data')
  let server: SpawnedServer
  before(async () => {
    writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES, 1))
    server = await SpawnedServer.start(data, { retention: { megabytes: 10_000 }, log: { level: 'silent' } })
  })
  after(async () => {
    await server.kill()
  })

  test('refuses new messages, keeps the old ones, and goes on when there is room', { timeout: 90_000 }, async (t) => {
    const [device, other] = await makeFleet(server.operator, 2, MESSAGE_BYTES)
    assert.ok(device && other)
    const stored = async () => {
      const events = await readEverything(await server.operator.eventsConnectionString(HUB))
      return events.filter((event) => deviceOf(event) === device.id).map(({ body }) => Number(body))
    }
    await device.connect(server.ports.mqtt, server.operator.ca)
    // MQTT 3.1.1 has no word for it: what cannot be kept is not acknowledged, and the connection ends.
    await device.flood(() => {})
    const acknowledged = device.acknowledgedCount
    assert.ok(acknowledged > 500, `${acknowledged}`)
    device.requireKept(await stored())

    // Still full: the device may come, but nothing more is acknowledged.
    await device.connect(server.ports.mqtt, server.operator.ca)
    await device.flood(() => {})
    assert.ok(device.acknowledgedCount - acknowledged < 100)

    rmSync(ballast)
    const end = device.acknowledgedCount + AFTERWARDS
    await device.connect(server.ports.mqtt, server.operator.ca)
    await device.flood(
      () => {},
      () => device.acknowledgedCount >= end,
    )
    assert.ok(device.acknowledgedCount >= end, 'it did not recover')
    device.close()
    device.requireKept(await stored())
    t.diagnostic(`${acknowledged} messages of ${MESSAGE_BYTES} bytes fitted; ${AFTERWARDS} more when there was room`)
    await server.stop()
  })
})

after(() => {
  if (mounted.status === 0) spawnSync('umount', [disk])
  rmSync(place, { recursive: true, force: true })
})
