import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { deviceOf, readEverything } from '../e2e/event-reading.ts'
import { SpawnedServer } from '../e2e/spawned-server.ts'
import { HUB } from '../e2e/whole-server.ts'
import { makeFleet } from './fleet.ts'

const KILLS = 20
const DEVICES = 8
/** Acknowledgements to wait for before a kill: from the very first commit to thousands of them. */
const FIRST_KILL_AT = 1
const STEP = 100

describe('kill -9 at full rate', () => {
  const data = mkdtempSync(join(tmpdir(), 'holdfast-kill-'))
  let server: SpawnedServer | null = null
  after(async () => {
    await server?.kill()
    rmSync(data, { recursive: true, force: true })
  })

  test(`${KILLS} times: all that was acknowledged is there, in order`, { timeout: 150_000 }, async (t) => {
    server = await SpawnedServer.start(data)
    const devices = await makeFleet(server.operator, DEVICES)
    const started = performance.now()
    for (let run = 0; run < KILLS; run++) {
      server ??= await SpawnedServer.start(data)
      const running = server
      let left = FIRST_KILL_AT + run * STEP
      const killed = Promise.withResolvers<void>()
      const onAcknowledged = (): void => {
        if (--left === 0) killed.resolve(running.kill())
      }
      await Promise.all(devices.map((device) => device.connect(running.ports.mqtt, running.operator.ca)))
      const flights = devices.map((device) => device.flood(onAcknowledged))
      await killed.promise
      await Promise.all(flights)
      server = null
    }
    server = await SpawnedServer.start(data)
    const events = await readEverything(await server.operator.eventsConnectionString(HUB))
    const took = performance.now() - started
    let acknowledged = 0
    for (const device of devices) {
      const serials = events.filter((event) => deviceOf(event) === device.id).map(({ body }) => Number(body))
      device.requireKept(serials)
      acknowledged += device.acknowledgedCount
    }
    assert.ok(acknowledged > KILLS * DEVICES)
    t.diagnostic(
      `${acknowledged} acknowledged of ${events.length} stored, over ${KILLS} kills in ${Math.round(took)} ms`,
    )
    await server.stop()
    server = null
  })
})
