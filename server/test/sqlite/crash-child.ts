import { parseDeviceId } from '../../src/model/ids.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { device, event } from '../contract/nouns.ts'

/**
 * Appends events and creates devices as fast as it can and prints what has been acknowledged, until it is killed.
 * Arguments: data folder, number of the run. A printed line is `e <partition> <sequence> <serial>` or `d <device id>`.
 */
const [folder = '', run = ''] = process.argv.slice(2)
const PARTITIONS = 3
const APPENDERS = 400
const CREATORS = 20

const { registry, telemetryLog } = await openSqliteStores({
  keys: DATA_KEYS,
  folder,
  refusalCapacity: 10,
  clock: { now: () => Date.now() },
  log: { blockBytes: 8_000, segmentBytes: 1024 * 1024, checkpointBytes: 256 * 1024 },
})

let lines: string[] = []
function print(line: string): void {
  if (lines.length === 0) {
    setImmediate(() => {
      process.stdout.write(lines.join(''))
      lines = []
    })
  }
  lines.push(`${line}\n`)
}

let serial = 0
async function append(): Promise<never> {
  for (;;) {
    const mine = `${run}-${serial++}`
    const position = await telemetryLog.append(serial % PARTITIONS, event(mine))
    print(`e ${position.partition} ${position.sequence} ${mine}`)
  }
}

let created = 0
async function create(): Promise<never> {
  for (;;) {
    const id = `run-${run}-${created++}`
    await registry.devices.create(device(id, { hub: event('').hub, deviceId: parseDeviceId(id) }))
    print(`d ${id}`)
  }
}

await Promise.all([...Array.from({ length: APPENDERS }, append), ...Array.from({ length: CREATORS }, create)])
