import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { parseEventHubConnectionString } from '../events/connection-string.ts'
import type { EventHubAddress } from '../events/connection-string.ts'
import { EventReading } from '../events/reader.ts'
import type { ReadFrom, ReceivedEvent } from '../events/reader.ts'
import { eventAsJson, showEvent } from '../events/show-event.ts'
import { print } from '../output.ts'
import { findHub, hubKey } from '../resource-manager.ts'
import { rootsOf } from '../server-access.ts'

interface MonitorOptions extends RemoteOptions {
  readonly connectionString?: string
  readonly group: string
  readonly from: ReadFrom
  readonly device?: string
  readonly property?: readonly (readonly [string, string])[]
  readonly count?: number
  readonly operations?: true
  readonly verbose?: true
}

/** `holdfast monitor`: events as they arrive, read through the Event Hubs-compatible endpoint like any other client. */
export function register(group: Command): void {
  group
    .option('--connection-string <text>', 'an Event Hubs connection string (default: asked of the server)')
    .option('--operations', 'instead of telemetry: connections, identities that come and go, refusals, alarms')
    .option('--group <name>', 'consumer group', '$Default')
    .addOption(
      new Option('--from <where>', 'latest, earliest, or a time such as 2026-01-31T12:00:00Z or 15m (ago)')
        .argParser(readFrom)
        .default({ kind: 'latest' }, 'latest'),
    )
    .option('--device <id>', 'only this device; a trailing * stands for anything')
    .option('--property <key=value>', 'only events with this application property, once for each', collectProperty)
    .option('--count <n>', 'end after so many events', (text) => whole(text))
    .option('--verbose', 'show system properties too')
  addHubOption(addAccessOptions(group))
    .action(monitor)
    .addHelpText(
      'after',
      `
Examples:
  holdfast monitor
  holdfast monitor --device 'press-*' --property alarm=true
  holdfast monitor --from 1h --count 100 --json`,
    )
}

async function monitor(options: MonitorOptions): Promise<void> {
  const stop = Promise.withResolvers<void>()
  let left = options.count ?? Infinity
  const reading = await EventReading.open({
    address: await addressOf(options),
    ca: rootsOf(options, process.env),
    group: options.group,
    from: options.from,
    onEvent: (event) => {
      if (left <= 0 || !matches(event, options)) return
      print(options.json ? eventAsJson(event) : showEvent(event, { verbose: options.verbose === true }))
      left -= 1
      if (left <= 0) stop.resolve()
    },
  })
  if (!options.json) process.stderr.write('reading … Ctrl-C ends\n')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.resolve())
  await Promise.race([stop.promise, reading.ended])
  await reading.close()
}

async function addressOf(options: MonitorOptions): Promise<EventHubAddress> {
  if (options.connectionString !== undefined) return parseEventHubConnectionString(options.connectionString)
  const access = serverOf(options)
  const hub = await findHub(access, options.hub)
  const { endpoint, path: telemetry } = hub.properties.eventHubEndpoints.events
  const path = options.operations ? `${telemetry}-operations` : telemetry
  const { keyName, primaryKey } = await hubKey(access, hub.name, 'service')
  return parseEventHubConnectionString(
    `Endpoint=${endpoint};SharedAccessKeyName=${keyName};SharedAccessKey=${primaryKey};EntityPath=${path}`,
  )
}

function matches(event: ReceivedEvent, { device, property }: MonitorOptions): boolean {
  if (device !== undefined) {
    const fits = device.endsWith('*') ? event.deviceId.startsWith(device.slice(0, -1)) : event.deviceId === device
    if (!fits) return false
  }
  return (property ?? []).every(([key, value]) => key in event.application && String(event.application[key]) === value)
}

function readFrom(text: string): ReadFrom {
  if (text === 'latest' || text === 'earliest') return { kind: text }
  const ago = /^(\d{1,6})([smhd])$/.exec(text)
  if (ago?.[1] && ago[2])
    return { kind: 'time', after: Date.now() - Number(ago[1]) * UNIT_MS[ago[2] as keyof typeof UNIT_MS] }
  const time = Date.parse(text)
  if (Number.isNaN(time))
    throw new InvalidArgumentError('use latest, earliest, a time such as 2026-01-31T12:00:00Z, or 15m.')
  return { kind: 'time', after: time }
}

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

function collectProperty(
  text: string,
  before: readonly (readonly [string, string])[] | undefined,
): readonly (readonly [string, string])[] {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('write it as key=value.')
  return [...(before ?? []), [text.slice(0, at), text.slice(at + 1)]]
}

function whole(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('a whole number from 1 is needed.')
  return Number(text)
}
