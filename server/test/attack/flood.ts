import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SpawnedServer } from '../e2e/spawned-server.ts'
import { HUB_HOST } from '../e2e/whole-server.ts'
import { enrollFleet, Fleet, makeFleet } from './fleet.ts'

export interface FloodMark {
  /** Junk connections a second that were really made. */
  readonly junkPerSecond: number
  /** Share of the devices that were back within ten seconds. */
  readonly within10s: number
  /** Seconds until the last of those came in that did. */
  readonly last: number
  readonly failures: number
}

const WITHIN = 10
const FLOOD_AHEAD_MS = 2_000

/**
 * Devices that were connected lose their connections all at once and reconnect while strangers flood the same port.
 * Everything runs on this machine: the server, the devices and the attacker share its processors.
 */
export async function measureFlood(options: { devices: number; junkPerSecond: number }): Promise<FloodMark> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-flood-'))
  const { root, devices } = await makeFleet(options.devices)
  const server = await SpawnedServer.start(join(folder, 'data'))
  const { port, ca } = { port: server.ports.mqtt, ca: server.operator.ca }
  const fleet = new Fleet({ port, ca, host: HUB_HOST, devices })
  try {
    await enrollFleet(
      server.operator,
      root,
      devices.map(({ id }) => id),
    )
    await fleet.run({ kind: 'hold', concurrency: 16 })
    await fleet.run({ kind: 'release' })
    const script = join(import.meta.dirname, 'junk-child.ts')
    const attacker = fork(script, [String(port), HUB_HOST, String(options.junkPerSecond)], {
      execArgv: ['--conditions=source'],
    })
    try {
      await once(attacker, 'message')
      await delay(FLOOD_AHEAD_MS)
      const { admitted, failures } = await fleet.run({ kind: 'hold', concurrency: devices.length })
      attacker.send('report')
      const [{ made, seconds }] = (await once(attacker, 'message')) as [{ made: number; seconds: number }]
      const intime = admitted.filter((time) => time <= WITHIN)
      return {
        junkPerSecond: made / seconds,
        within10s: intime.length / devices.length,
        last: Math.max(...admitted),
        failures,
      }
    } finally {
      attacker.kill()
    }
  } finally {
    fleet.close()
    await server.kill()
    await rm(folder, { recursive: true, force: true })
  }
}
