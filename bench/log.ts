import { createSecretKey, randomBytes } from 'node:crypto'
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { parseDeviceId, parseHubName } from '../server/src/model/ids.ts'
import type { HubEvent } from '../server/src/model/message.ts'
import type { TelemetryLog } from '../server/src/ports/telemetry-log.ts'
import { BlockWriter } from '../server/src/sqlite/event-codec.ts'
import { openSqliteStores } from '../server/src/sqlite/open.ts'

export interface LogMarks {
  /** Durable events per second through `append` with 2,000 under way. */
  readonly pipelined: number
  /** The same from 200 callers that each wait for their own acknowledgement. */
  readonly oneInFlight: number
  /** 99th percentile of the time from `append` to its acknowledgement, ms. */
  readonly pipelinedP99: number
  readonly oneInFlightP99: number
  /** Events per second of the same blocks inserted by bare node:sqlite, a commit for every 2,000 events. */
  readonly bareSqlite: number
  /** The same bytes written to a plain file with fdatasync after every 2,000 events. */
  readonly plainFile: number
  /** Events per second read back and decoded. */
  readonly read: number
}

const HUB = parseHubName('bench')
const PARTITIONS = 4
const PIPELINE = 2_000
const CALLERS = 200

/** Measures in a temporary folder of `parent`: put that on the disk that matters. */
export async function measureLog(options: { seconds: number; parent?: string }): Promise<LogMarks> {
  const folder = mkdtempSync(join(options.parent ?? tmpdir(), 'holdfast-bench-'))
  const events = makeEvents()
  const stores = await openSqliteStores({
    keys: [{ id: 1, key: createSecretKey(randomBytes(32)) }],
    folder: join(folder, 'data'),
    refusalCapacity: 10,
    clock: { now: () => Date.now() },
  })
  try {
    const log = stores.telemetryLog
    await drive(log, events, PIPELINE, 0.5)
    const oneInFlight = await drive(log, events, CALLERS, options.seconds)
    const pipelined = await drive(log, events, PIPELINE, options.seconds)
    return {
      pipelined: pipelined.rate,
      oneInFlight: oneInFlight.rate,
      pipelinedP99: pipelined.p99,
      oneInFlightP99: oneInFlight.p99,
      read: await readRate(log),
      bareSqlite: bareSqlite(join(folder, 'bare.db'), events, options.seconds),
      plainFile: plainFile(join(folder, 'plain'), events, options.seconds),
    }
  } finally {
    await stores.close()
    rmSync(folder, { recursive: true })
  }
}

function makeEvents(): readonly HubEvent[] {
  return Array.from({ length: 1_000 }, (_, index) => ({
    hub: HUB,
    deviceId: parseDeviceId(`device-${index}`),
    moduleId: null,
    generationId: String(638_000_000_000_000_000n + BigInt(index)),
    authMethod: '{"scope":"device","type":"x509","issuer":"external","acceptingIpFilterRule":null}',
    source: 'Telemetry',
    modelId: null,
    properties: { contentType: 'application/json', contentEncoding: 'utf-8' },
    application: { alert: 'false' },
    body: Buffer.from(
      `{"temperature":${20 + (index % 10)},"humidity":${40 + (index % 30)},"sequence":${index},"unit":"C"}`,
    ),
  }))
}

/** Keeps `callers` appends under way, each by a caller that waits for its acknowledgement. */
async function drive(
  log: TelemetryLog,
  events: readonly HubEvent[],
  callers: number,
  seconds: number,
): Promise<{ rate: number; p99: number }> {
  const times: number[] = []
  const start = performance.now()
  const end = start + seconds * 1_000
  let index = 0
  const caller = async (): Promise<void> => {
    for (let now = performance.now(); now < end;) {
      const event = events[index % events.length]
      if (event === undefined) throw new Error('no events')
      await log.append(index++ % PARTITIONS, event)
      const acknowledged = performance.now()
      times.push(acknowledged - now)
      now = acknowledged
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const rate = (times.length * 1_000) / (performance.now() - start)
  return { rate, p99: times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.NaN }
}

async function readRate(log: TelemetryLog): Promise<number> {
  const start = performance.now()
  let count = 0
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (let from = 0; count < 500_000;) {
      const events = await log.read(HUB, partition, from, { events: 500, bytes: 1024 * 1024 })
      if (events.length === 0) break
      count += events.length
      from += events.length
    }
  }
  return (count * 1_000) / (performance.now() - start)
}

function blocksOf(events: readonly HubEvent[]): readonly Uint8Array[] {
  const blocks = Array.from({ length: PARTITIONS }, () => new BlockWriter(64 * 1024))
  for (let index = 0; index < PIPELINE; index++) {
    const event = events[index % events.length]
    if (event !== undefined) blocks[index % PARTITIONS]?.add(event)
  }
  return blocks.map((block) => block.written)
}

function bareSqlite(path: string, events: readonly HubEvent[], seconds: number): number {
  const database = new DatabaseSync(path)
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE blocks (id INTEGER PRIMARY KEY, partition INTEGER, first INTEGER, bytes BLOB) STRICT;
    CREATE UNIQUE INDEX by_sequence ON blocks (partition, first)`)
  const insert = database.prepare('INSERT INTO blocks (partition, first, bytes) VALUES (?, ?, ?)')
  const blocks = blocksOf(events)
  let first = 0
  const rate = commitRate(seconds, () => {
    database.exec('BEGIN')
    for (const [partition, block] of blocks.entries()) insert.run(partition, first, block)
    database.exec('COMMIT')
    first += PIPELINE
  })
  database.close()
  return rate
}

function plainFile(path: string, events: readonly HubEvent[], seconds: number): number {
  const file = openSync(path, 'w')
  const blocks = blocksOf(events)
  const rate = commitRate(seconds, () => {
    for (const block of blocks) writeSync(file, block)
    fdatasyncSync(file)
  })
  closeSync(file)
  return rate
}

function commitRate(seconds: number, commit: () => void): number {
  const start = performance.now()
  let commits = 0
  for (; performance.now() - start < seconds * 1_000; commits++) commit()
  return (commits * PIPELINE * 1_000) / (performance.now() - start)
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en')
}

/** Rows of name, value and note, for a table. */
export function describeLog(marks: LogMarks): readonly (readonly [string, string, string])[] {
  const ratio = (value: number): string => (marks.pipelined / value).toFixed(2)
  return [
    ['log: events/s, 2,000 under way', whole(marks.pipelined), `p99 ${marks.pipelinedP99.toFixed(1)} ms`],
    ['log: events/s, 200 callers one in flight', whole(marks.oneInFlight), `p99 ${marks.oneInFlightP99.toFixed(1)} ms`],
    ['log: events/s read and decoded', whole(marks.read), ''],
    ['bare node:sqlite, the same blocks', whole(marks.bareSqlite), `log / bare = ${ratio(marks.bareSqlite)}`],
    ['plain file + fdatasync, the same bytes', whole(marks.plainFile), `log / file = ${ratio(marks.plainFile)}`],
  ]
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const rows = describeLog(await measureLog({ seconds: 3 }))
  for (const [name, value, note] of rows) console.log(`${name.padEnd(44)}${value.padStart(12)}  ${note}`)
}
