import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { deviceOf, readEverything } from '../e2e/event-reading.ts'
import { SpawnedServer } from '../e2e/spawned-server.ts'
import { HUB } from '../e2e/whole-server.ts'
import { makeFleet } from './fleet.ts'

const DEVICES = 8
const STOP_AFTER = 2_000

describe('a stop at full rate', () => {
  const data = mkdtempSync(join(tmpdir(), 'holdfast-stop-'))
  let server: SpawnedServer | null = null
  after(async () => {
    await server?.kill()
    rmSync(data, { recursive: true, force: true })
  })

  test('ends well, and what was acknowledged is there once', { timeout: 60_000 }, async (t) => {
    server = await SpawnedServer.start(data)
    const running = server
    const devices = await makeFleet(running.operator, DEVICES)
    await Promise.all(devices.map((device) => device.connect(running.ports.mqtt, running.operator.ca)))
    let left = STOP_AFTER
    const stopped = Promise.withResolvers<number>()
    const flights = devices.map((device) =>
      device.flood(() => {
        if (--left > 0) return
        const started = performance.now()
        if (left === 0) stopped.resolve(running.stop().then(() => performance.now() - started))
      }),
    )
    const took = await stopped.promise
    await Promise.all(flights)
    assert.equal(running.complaints, '')

    server = await SpawnedServer.start(data)
    const events = await readEverything(await server.operator.eventsConnectionString(HUB))
    for (const device of devices)
      device.requireKept(events.filter((event) => deviceOf(event) === device.id).map(({ body }) => Number(body)))
    const acknowledged = devices.reduce((sum, device) => sum + device.acknowledgedCount, 0)
    t.diagnostic(`${acknowledged} acknowledged of ${events.length} stored; stopped in ${Math.round(took)} ms`)
    await server.stop()
    server = null
  })
})
