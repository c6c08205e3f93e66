import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { EnvelopeSealer } from '../server/src/keys/envelope.ts'
import type { SealingKeys } from '../server/src/keys/sealer-for.ts'
import { parseDeviceId, parseHubName } from '../server/src/model/ids.ts'
import type { Device } from '../server/src/model/device.ts'
import type { HubEvent } from '../server/src/model/message.ts'
import { freshTwin } from '../server/src/model/twin.ts'
import { BlockWriter, decodeBlock } from '../server/src/sqlite/event-codec.ts'
import { openSqliteStores } from '../server/src/sqlite/open.ts'
import type { SqliteStores } from '../server/src/sqlite/open.ts'

export interface AtRestMarks {
  /** Durable events per second, 2,000 under way: median of the rounds. */
  readonly sealed: number
  readonly unsealed: number
  /** Of the rounds, sealed by unsealed, each pair measured one after the other. */
  readonly ratios: readonly number[]
  /** Mean processor time of reading one device, µs. */
  readonly sealedGet: number
  readonly unsealedGet: number
  /** Two ways to erase a device's events. */
  readonly erasure: ErasureMarks
}

interface ErasureMarks {
  /** Time of sealing each event under the key of its device rather than the block whole, µs for one event. */
  readonly keyPerDeviceMicros: number
  readonly wholeBlockMicros: number
  /** Bytes that a key for each device adds to an event. */
  readonly keyPerDeviceBytes: number
  /** MB of telemetry in a second that rewriting opens, decodes, encodes and seals, on one thread. */
  readonly rewriteMegabytes: number
}

const HUB = parseHubName('bench')
const KEYS: SealingKeys = [{ id: 1, key: createSecretKey(randomBytes(32)) }]
const CALLERS = 2_000
const ROUNDS = 5
const DEVICES = 1_000

export async function measureAtRest(options: { seconds: number; parent?: string }): Promise<AtRestMarks> {
  const parent = options.parent ?? tmpdir()
  const unsealed = await openBench(parent, 'unsealed')
  const sealed = await openBench(parent, KEYS)
  try {
    await durableRate(unsealed.stores, 0.5)
    await durableRate(sealed.stores, 0.5)
    const rounds: { unsealed: number; sealed: number }[] = []
    for (let round = 0; round < ROUNDS; round++) {
      // Turn about, so that a disk that gets slower is not held against either.
      const first = round % 2 === 0 ? unsealed : sealed
      const second = first === sealed ? unsealed : sealed
      const [one, two] = [
        await durableRate(first.stores, options.seconds),
        await durableRate(second.stores, options.seconds),
      ]
      rounds.push(first === sealed ? { sealed: one, unsealed: two } : { unsealed: one, sealed: two })
    }
    return {
      sealed: median(rounds.map((round) => round.sealed)),
      unsealed: median(rounds.map((round) => round.unsealed)),
      ratios: rounds.map((round) => round.sealed / round.unsealed),
      sealedGet: await getMicros(sealed.stores),
      unsealedGet: await getMicros(unsealed.stores),
      erasure: measureErasure(),
    }
  } finally {
    await unsealed.close()
    await sealed.close()
  }
}

async function openBench(parent: string, keys: SealingKeys): Promise<{ stores: SqliteStores; close(): Promise<void> }> {
  const folder = mkdtempSync(join(parent, 'holdfast-bench-'))
  const stores = await openSqliteStores({ folder, keys, refusalCapacity: 10, clock: { now: () => Date.now() } })
  await stores.registry.devices.apply(
    Array.from({ length: DEVICES }, (_, index) => ({ kind: 'create', device: makeDevice(index) }) as const),
  )
  return {
    stores,
    close: async () => {
      await stores.close()
      rmSync(folder, { recursive: true })
    },
  }
}

/** Keeps 2,000 appends under way, each by a caller that waits for its acknowledgement. */
async function durableRate({ telemetryLog }: SqliteStores, seconds: number): Promise<number> {
  const start = performance.now()
  const end = start + seconds * 1_000
  let done = 0
  const call = async (caller: number): Promise<void> => {
    for (let index = caller; performance.now() < end; index += CALLERS) {
      const event = EVENTS[index % EVENTS.length]
      if (event !== undefined) await telemetryLog.append(index % 4, event)
      done += 1
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, (_, caller) => call(caller)))
  return done / ((performance.now() - start) / 1_000)
}

async function getMicros({ registry }: SqliteStores): Promise<number> {
  const ids = Array.from({ length: DEVICES }, (_, index) => parseDeviceId(`device-${index}`))
  const run = async (times: number): Promise<number> => {
    const start = process.threadCpuUsage()
    for (let index = 0; index < times; index++) {
      await registry.devices.get(HUB, ids[index % DEVICES] ?? parseDeviceId('none'))
    }
    const { user, system } = process.threadCpuUsage(start)
    return (user + system) / times
  }
  await run(10_000)
  return run(50_000)
}

function measureErasure(): ErasureMarks {
  const sealer = new EnvelopeSealer('telemetry', KEYS === 'unsealed' ? [] : KEYS)
  const whole = block(EVENTS)
  const bodies = EVENTS.map((event) => block([event]))
  const perEvent = timed(() => bodies.forEach((body) => sealer.seal(body, 'place'))) / EVENTS.length
  const perBlock = timed(() => sealer.seal(whole, 'place')) / EVENTS.length
  const sealed = sealer.seal(whole, 'place')
  const rewrite = timed(() => {
    const { events } = decodeBlock(sealer.open(sealed, 'place'), HUB, EVENTS.length)
    sealer.seal(block(events), 'place')
  })
  const grown = bodies.reduce((sum, body) => sum + sealer.seal(body, 'place').length, 0)
  return {
    keyPerDeviceMicros: perEvent,
    wholeBlockMicros: perBlock,
    keyPerDeviceBytes: (grown - sealed.length) / EVENTS.length,
    rewriteMegabytes: whole.length / rewrite,
  }
}

function block(events: readonly HubEvent[]): Uint8Array {
  const writer = new BlockWriter(events.length * 200)
  for (const event of events) writer.add(event)
  return writer.written
}

/** Processor time of one run, µs. */
function timed(work: () => void): number {
  for (let index = 0; index < 20; index++) work()
  const start = process.threadCpuUsage()
  for (let index = 0; index < 200; index++) work()
  const { user, system } = process.threadCpuUsage(start)
  return (user + system) / 200
}

const EVENTS: readonly HubEvent[] = Array.from({ length: 1_000 }, (_, index) => ({
  hub: HUB,
  deviceId: parseDeviceId(`device-${index}`),
  moduleId: null,
  generationId: String(638_000_000_000_000_000n + BigInt(index)),
  authMethod: '{"scope":"device","type":"x509","issuer":"external","acceptingIpFilterRule":null}',
  source: 'Telemetry',
  modelId: null,
  properties: { contentType: 'application/json', contentEncoding: 'utf-8' },
  application: { alert: 'false' },
  body: Buffer.from(`{"temperature":${20 + (index % 10)},"humidity":${40 + (index % 30)},"sequence":${index}}`),
}))

function makeDevice(index: number): Device {
  return {
    hub: HUB,
    deviceId: parseDeviceId(`device-${index}`),
    generationId: '638000000000000001',
    etag: 'AAAA',
    status: 'enabled',
    statusReason: null,
    statusUpdatedTime: null,
    authentication: { type: 'sas', primaryKey: 'k'.repeat(44), secondaryKey: 'k'.repeat(44) },
    capabilities: { iotEdge: false },
    createdTime: 0,
    lastActivityTime: null,
    connectionStateUpdatedTime: null,
    twin: freshTwin(0),
    provenance: null,
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [seconds = '2', parent] = process.argv.slice(2)
  console.log(await measureAtRest({ seconds: Number(seconds), ...(parent === undefined ? {} : { parent }) }))
}
