import assert from 'node:assert/strict'
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs'
import { once } from 'node:events'
import { request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { restoreBackup } from '../../src/backup/restore.ts'
import type { BackupReport } from '../../src/backup/restore.ts'
import { deviceOf, visitEverything } from '../e2e/event-reading.ts'
import type { Operator } from '../e2e/operator.ts'
import { SpawnedServer } from '../e2e/spawned-server.ts'
import { HUB, HUB_HOST } from '../e2e/whole-server.ts'
import { makeFleet } from '../faults/fleet.ts'
import type { PipelinedDevice } from '../faults/pipelined-device.ts'
import { sasToken } from '../hub/workbench.ts'
import { random } from './bench-folder.ts'

export interface DrillSize {
  /** Devices in the registry. */
  readonly devices: number
  /** Of these, the ones that send. */
  readonly senders: number
  /** Events acknowledged before the backup begins. */
  readonly events: number
}

const SETTINGS = {
  limits: { requestsPerMinute: 10_000_000 },
  hubs: [{ name: HUB, hosts: [HUB_HOST], partitions: 4 }],
}
const BULK = 100
const BULKS_AT_ONCE = 4

/**
 * The disaster, rehearsed: fills a server, backs it up while its devices go on sending, destroys it with its data folder,
 * restores, and holds the restored one against what was acknowledged. `say` is told each step and how long it took.
 */
export async function runDrill(size: DrillSize, say: (line: string) => void): Promise<void> {
  const parent = mkdtempSync(join(tmpdir(), 'holdfast-drill-'))
  const data = join(parent, 'data')
  const backup = join(parent, 'backup')
  let server = await SpawnedServer.start(data, SETTINGS)
  const timed = stopwatch(say)
  try {
    const fleet = await timed(`${size.senders} devices with certificates, a CA proven`, () =>
      makeFleet(server.operator, size.senders),
    )
    await timed(`${size.devices} devices in the registry`, () => register(server.operator, size.devices - size.senders))

    await Promise.all(fleet.map((device) => device.connect(server.ports.mqtt, server.operator.ca)))
    let acknowledged = 0
    const filled = Promise.withResolvers<void>()
    const flights = fleet.map((device) =>
      device.flood(() => {
        if (++acknowledged === size.events) filled.resolve()
      }),
    )
    await timed(`${size.events} events acknowledged`, () => filled.promise)
    const promised = new Map(fleet.map((device) => [device, device.acknowledgedCount]))
    const before = acknowledged
    await timed('backed up under load', () => take(server.operator, backup))
    say(`  ${statSync(backup).size} bytes; ${acknowledged - before} more events were acknowledged meanwhile`)
    assert.ok(acknowledged > before, 'no device sent while the backup was taken')

    await timed('server killed, its data folder wiped', async () => {
      await server.kill()
      await Promise.all(flights)
      rmSync(data, { recursive: true })
    })
    const source = { path: backup, key: { kind: 'file', path: `${data}.key` }, random } as const
    const report = await timed('restored and verified', () => restoreBackup(source, data, Date.now()))
    server = await timed('started again', () => SpawnedServer.start(data, SETTINGS))
    await timed('everything looked through', () => inspect(server, promised, report, size))
    await timed(`all ${fleet.length} devices reconnected and were acknowledged`, () => reconnect(server, fleet))
  } finally {
    await server.kill()
    rmSync(parent, { recursive: true, force: true })
  }
}

/** The bulk calls of the service SDK; these devices never connect. */
async function register(operator: Operator, count: number): Promise<void> {
  const { primaryKey } = await operator.hubKey(HUB, 'registryReadWrite')
  const se = Math.floor(Date.now() / 1000) + 3600
  const authorization = sasToken({ sr: HUB_HOST, key: primaryKey, se, skn: 'registryReadWrite' })
  let next = 0
  const work = async (): Promise<void> => {
    while (next < count) {
      const first = next
      next += BULK
      const items = Array.from({ length: Math.min(BULK, count - first) }, (_, index) => ({
        id: `shelf-${first + index}`,
        importMode: 'create',
        authentication: { type: 'certificateAuthority' },
      }))
      const headers = { authorization, host: HUB_HOST }
      await operator.call('POST', '/devices?api-version=2021-04-12', items, headers)
    }
  }
  await Promise.all(Array.from({ length: BULKS_AT_ONCE }, work))
}

async function take(operator: Operator, file: string): Promise<void> {
  const outgoing = request({
    method: 'POST',
    path: '/holdfast/v1/backups',
    host: operator.host,
    port: operator.ports.https,
    ca: operator.ca,
    headers: { authorization: `Bearer ${operator.token}` },
  })
  outgoing.end()
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  assert.equal(answer.statusCode, 200)
  await pipeline(answer, createWriteStream(file))
}

async function inspect(
  { operator }: SpawnedServer,
  promised: ReadonlyMap<PipelinedDevice, number>,
  report: BackupReport,
  size: DrillSize,
): Promise<void> {
  assert.equal(report.devices, size.devices)
  const { hubs } = await operator.call<{ hubs: { devices: { total: number } }[] }>('GET', '/holdfast/v1/status')
  assert.equal(hubs[0]?.devices.total, size.devices)
  const missing = new Map([...promised].map(([{ id }, count]) => [id, new Set(Array(count).keys())]))
  let read = 0
  await visitEverything(await operator.eventsConnectionString(HUB), (event) => {
    read += 1
    missing.get(deviceOf(event))?.delete(Number(event.body))
  })
  const stored = report.partitions
    .filter(({ hub }) => hub === HUB)
    .reduce((sum, { begin, next }) => sum + next - begin, 0)
  assert.equal(read, stored)
  for (const [id, serials] of missing)
    assert.deepEqual([...serials], [], `events of ${id} were acknowledged before the backup and are gone`)
}

async function reconnect({ ports, operator }: SpawnedServer, fleet: readonly PipelinedDevice[]): Promise<void> {
  for (const device of fleet) {
    await device.connect(ports.mqtt, operator.ca)
    let isOnce = false
    await device.flood(
      () => (isOnce = true),
      () => isOnce,
    )
    device.close()
  }
}

function stopwatch(say: (line: string) => void) {
  return async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now()
    const result = await work()
    say(`${step}: ${((performance.now() - started) / 1000).toFixed(1)} s`)
    return result
  }
}
