import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { parseDeviceId } from '../../src/model/ids.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import type { SqliteStores } from '../../src/sqlite/open.ts'
import { HUB, bodyOf } from '../contract/nouns.ts'

const KILLS = 20
const PARTITIONS = [0, 1, 2]
/** Acknowledgements to wait for before a kill: from the very first commit up to some checkpoints and new segments. */
const LEAST_ACKNOWLEDGED = 1
const STEP = 250

interface Acknowledged {
  /** `partition/sequence` → serial. */
  readonly events: Map<string, string>
  readonly devices: Set<string>
}

/** Runs a server at full rate, kills it after `enough` acknowledgements and returns all that were printed. */
async function runAndKill(folder: string, run: number, enough: number): Promise<Acknowledged> {
  const script = join(import.meta.dirname, 'crash-child.ts')
  const child = spawn(process.execPath, ['--conditions=source', script, folder, `${run}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  let lines = 0
  child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
    output += chunk
    lines += chunk.split('\n').length - 1
    if (lines >= enough) child.kill('SIGKILL')
  })
  const [, signal] = (await once(child, 'close')) as [number | null, string | null]
  assert.equal(signal, 'SIGKILL', 'the server ended by itself')
  // A last line without its end may be cut off.
  return parse(output.slice(0, output.lastIndexOf('\n')))
}

function parse(output: string): Acknowledged {
  const events = new Map<string, string>()
  const devices = new Set<string>()
  for (const line of output.split('\n')) {
    const [kind, first = '', sequence, serial = ''] = line.split(' ')
    if (kind === 'd') devices.add(first)
    else events.set(`${first}/${sequence}`, serial)
  }
  return { events, devices }
}

/** Reads the whole log; returns the number of acknowledged events seen. */
async function checkLog(stores: SqliteStores, events: ReadonlyMap<string, string>): Promise<number> {
  const serials = new Set<string>()
  let acknowledged = 0
  for (const partition of PARTITIONS) {
    const { begin, next } = await stores.telemetryLog.bounds(HUB, partition)
    assert.equal(begin, 0)
    for (let sequence = 0; sequence < next;) {
      const read = await stores.telemetryLog.read(HUB, partition, sequence, { events: 1_000, bytes: 10_000_000 })
      assert.ok(read.length > 0, `a gap at ${partition}/${sequence}`)
      for (const { position, event } of read) {
        assert.equal(position.sequence, sequence++)
        const serial = bodyOf(event)
        assert.ok(!serials.has(serial), `${serial} is there twice`)
        serials.add(serial)
        const expected = events.get(`${partition}/${position.sequence}`)
        if (expected === undefined) continue
        assert.equal(serial, expected)
        acknowledged += 1
      }
    }
  }
  return acknowledged
}

function checkFiles(folder: string): void {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.db'))
  assert.ok(files.length >= 3)
  for (const file of files) {
    const database = new DatabaseSync(join(folder, file))
    assert.equal(database.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok', file)
    database.close()
  }
}

describe('kill -9 at full rate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-crash-'))
  after(() => rmSync(folder, { recursive: true }))

  test(`${KILLS} times: everything acknowledged is there once, nothing is torn`, { timeout: 600_000 }, async (t) => {
    const events = new Map<string, string>()
    const devices = new Set<string>()
    for (let run = 0; run < KILLS; run++) {
      // Each run opens what the kill before it left behind.
      const acknowledged = await runAndKill(folder, run, LEAST_ACKNOWLEDGED + run * STEP)
      for (const [place, serial] of acknowledged.events) {
        assert.ok(!events.has(place), `${place} was acknowledged twice`)
        events.set(place, serial)
      }
      for (const id of acknowledged.devices) devices.add(id)
    }
    const stores = await openSqliteStores({
      keys: DATA_KEYS,
      folder,
      refusalCapacity: 10,
      clock: { now: () => Date.now() },
    })
    try {
      assert.equal(await checkLog(stores, events), events.size)
      for (const id of devices) assert.notEqual(await stores.registry.devices.get(HUB, parseDeviceId(id)), null, id)
    } finally {
      await stores.close()
    }
    checkFiles(folder)
    assert.ok(events.size > 0 && devices.size > 0)
    t.diagnostic(`${events.size} acknowledged events and ${devices.size} devices survived ${KILLS} kills`)
  })
})
