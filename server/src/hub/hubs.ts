import { parseHubName } from '../model/ids.ts'
import type { DuplicatePolicy } from '../model/device.ts'
import type { HubName } from '../model/ids.ts'
import type { EventCategory } from '../model/message.ts'

export interface HubDefinition {
  readonly name: HubName
  /** Lower case; the first is the one told to devices. */
  readonly hosts: readonly string[]
  /** Of the event stream; fixed once the hub holds data. */
  readonly partitions: number
  /** How strictly device certificates are judged; `compatible` unless given. */
  readonly profile?: 'compatible' | 'strict'
  /** What a second session of an identity meets; `take-over` unless given. */
  readonly duplicates?: DuplicatePolicy
  /** Which events besides telemetry go into the hub's own stream too; none unless given. */
  readonly events?: readonly EventCategory[]
}

/** A durable stream, read as one entity of the Event Hubs-compatible endpoint. */
export interface EventStream {
  /** The entity's path, and the key of the stream in the log. */
  readonly name: HubName
  readonly hub: HubDefinition
  readonly partitions: number
}

const OPERATIONS = '-operations'
/** As the service has it; leaves room for the name of the operations stream. */
export const MAX_HUB_NAME_LENGTH = 50

/** The stream of a hub's events that are no telemetry. One partition: they have one order. */
export function operationsStreamOf(hub: HubName): HubName {
  return parseHubName(`${hub}${OPERATIONS}`)
}

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1']

/** The hubs of this server, found by the host names that clients use. Bounded by the configuration. */
export class Hubs {
  readonly home: HubDefinition
  readonly #all: readonly HubDefinition[]
  readonly #byName: ReadonlyMap<string, HubDefinition>
  readonly #byHost: ReadonlyMap<string, HubDefinition>

  /** The first definition is the home hub. Throws when there is none. */
  constructor(definitions: readonly HubDefinition[]) {
    const [home] = definitions
    if (home === undefined) throw new Error('A server holds at least one hub.')
    this.home = home
    this.#all = [...definitions]
    this.#byName = new Map(definitions.map((hub) => [hub.name, hub]))
    const hosts = definitions.flatMap((hub) => hub.hosts.map((host): [string, HubDefinition] => [host, hub]))
    // With several hubs a loopback name would say nothing about which one is meant.
    const loopback = definitions.length === 1 ? LOOPBACK_NAMES.map((name): [string, HubDefinition] => [name, home]) : []
    this.#byHost = new Map([...loopback, ...hosts])
  }

  /** `host` is as a client named it: in any case, with or without a port. */
  byHost(host: string): HubDefinition | null {
    return this.#byHost.get(host) ?? this.#byHost.get(bareHost(host)) ?? null
  }

  get(name: HubName): HubDefinition | null {
    return this.#byName.get(name) ?? null
  }

  /** By the name of its entity: the hub's own name is its telemetry. */
  stream(name: HubName): EventStream | null {
    const hub = this.#byName.get(name)
    if (hub !== undefined) return { name, hub, partitions: hub.partitions }
    const owner = name.endsWith(OPERATIONS) ? this.#byName.get(name.slice(0, -OPERATIONS.length)) : undefined
    return owner === undefined ? null : { name, hub: owner, partitions: 1 }
  }

  all(): readonly HubDefinition[] {
    return this.#all
  }
}

/** Lower case, without port, brackets and the root's dot. */
export function bareHost(host: string): string {
  const lower = host.toLowerCase()
  const bracketed = /^\[([0-9a-f:.]+)\](?::\d{1,5})?$/.exec(lower)
  if (bracketed?.[1] !== undefined) return bracketed[1]
  // More than one colon is a bare IPv6 address, which carries no port.
  const withoutPort = lower.indexOf(':') === lower.lastIndexOf(':') ? lower.replace(/:\d{1,5}$/, '') : lower
  return withoutPort.endsWith('.') ? withoutPort.slice(0, -1) : withoutPort
}
