import { HubError } from '../../errors.ts'
import type { HubName } from '../../model/ids.ts'
import { printable } from '../../model/ids.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import type { PartitionBounds, TelemetryLog } from '../../ports/telemetry-log.ts'
import type { EventReader, ReaderIdentity } from './event-reader.ts'
import { LogReader } from './event-reader.ts'
import type { EventStream, Hubs } from '../hubs.ts'
import { ReaderSeats } from './reader-seats.ts'
import type { StartPosition } from './start-position.ts'
import { firstSequence } from './start-position.ts'

export type { EventReader } from './event-reader.ts'
export type { StartPosition } from './start-position.ts'

/** Always there, never deleted. */
const DEFAULT_CONSUMER_GROUP = '$Default'
/** Each group has state of its own at its readers; the service allows 20 to 1,000 by tier. */
const MAX_GROUPS = 100
const GROUP_NAME = /^[A-Za-z0-9][A-Za-z0-9\-._]{0,49}$/

export interface OpenRequest {
  /** Name of the stream. */
  readonly hub: HubName
  /** In any case. */
  readonly group: string
  readonly partition: string
  readonly start: StartPosition
  /** Owner level; null reads beside others. */
  readonly epoch: number | null
  /** The reader's own name, for the one it displaces. */
  readonly name: string
}

/** Readers of the hubs' streams, each called by its name (see Hubs.stream): who may read beside whom, and from where. */
export class Consumers {
  readonly #hubs: Hubs
  readonly #registry: Pick<Registry, 'consumerGroups' | 'settings'>
  readonly #log: TelemetryLog
  readonly #clock: Clock
  readonly #seats = new ReaderSeats()

  constructor(parts: {
    hubs: Hubs
    registry: Pick<Registry, 'consumerGroups' | 'settings'>
    log: TelemetryLog
    clock: Clock
  }) {
    this.#hubs = parts.hubs
    this.#registry = parts.registry
    this.#log = parts.log
    this.#clock = parts.clock
  }

  partitionIds(hub: HubName): readonly string[] {
    return Array.from({ length: this.#stream(hub).partitions }, (_, index) => String(index))
  }

  /** `createdAt` in ms: when the stream was first asked for. */
  async hubInfo(hub: HubName): Promise<{ readonly createdAt: number }> {
    const key = `hub/${this.#stream(hub).name}/created`
    const known = await this.#registry.settings.get(key)
    if (known !== null) return { createdAt: Number(known) }
    const createdAt = this.#clock.now()
    await this.#registry.settings.put(key, String(createdAt))
    return { createdAt }
  }

  /** Rejects with `partition-not-found`. */
  async partitionInfo(hub: HubName, id: string): Promise<PartitionBounds> {
    return this.#log.bounds(hub, this.#partition(hub, id))
  }

  async groups(hub: HubName): Promise<readonly string[]> {
    return [DEFAULT_CONSUMER_GROUP, ...(await this.#registry.consumerGroups.list(this.#stream(hub).name))]
  }

  /** Names differ in more than case. Rejects with `argument-invalid` or `consumer-group-already-exists`. */
  async createGroup(hub: HubName, name: string): Promise<void> {
    if (!GROUP_NAME.test(name))
      throw new HubError(
        'argument-invalid',
        `'${printable(name)}' is no consumer group name: use 1 to 50 of A-Z a-z 0-9 - . _`,
      )
    const groups = await this.groups(hub)
    const exists = new HubError('consumer-group-already-exists', `Consumer group '${name}' exists already.`)
    if (groups.some((group) => sameGroup(group, name))) throw exists
    if (groups.length >= MAX_GROUPS)
      throw new HubError('argument-invalid', `Hub '${hub}' holds its most of ${MAX_GROUPS} consumer groups.`)
    if ((await this.#registry.consumerGroups.create(hub, name)) === 'exists') throw exists
  }

  /** Ends the group's readers too. Rejects with `consumer-group-not-found` or `argument-invalid`. */
  async deleteGroup(hub: HubName, name: string): Promise<void> {
    const group = await this.#group(hub, name)
    if (group === DEFAULT_CONSUMER_GROUP)
      throw new HubError('argument-invalid', `${DEFAULT_CONSUMER_GROUP} cannot be deleted.`)
    if ((await this.#registry.consumerGroups.delete(hub, group)) === 'absent') throw noGroup(hub, name)
    this.#seats.clear(`${hub}/${group}/`, noGroup(hub, name))
  }

  /**
   * Opens a reader. Rejects with `consumer-group-not-found`, `partition-not-found`, `argument-invalid` (a position past
   * the end), `reader-stolen` (a reader of a higher epoch is there) or `reader-limit-exceeded`.
   */
  async open(request: OpenRequest): Promise<EventReader> {
    const partition = this.#partition(request.hub, request.partition)
    const group = await this.#group(request.hub, request.group)
    const from = await firstSequence(this.#log, request.hub, partition, request.start)
    const identity: ReaderIdentity = { name: request.name, epoch: request.epoch }
    const reader = new LogReader(this.#log, { hub: request.hub, partition, from }, identity)
    try {
      this.#seats.take(`${request.hub}/${group}/${partition}`, reader)
    } catch (error) {
      reader.close()
      throw error
    }
    return reader
  }

  #stream(name: HubName): EventStream {
    const stream = this.#hubs.stream(name)
    if (stream === null) throw new HubError('hub-not-found', `This server holds no hub '${name}'.`)
    return stream
  }

  #partition(hub: HubName, id: string): number {
    const { partitions } = this.#stream(hub)
    if (/^\d{1,3}$/.test(id) && Number(id) < partitions) return Number(id)
    throw new HubError(
      'partition-not-found',
      `Hub '${hub}' has no partition '${printable(id)}'; it has 0 to ${partitions - 1}.`,
    )
  }

  async #group(hub: HubName, name: string): Promise<string> {
    const group = (await this.groups(hub)).find((group) => sameGroup(group, name))
    if (group === undefined) throw noGroup(hub, name)
    return group
  }
}

function sameGroup(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

function noGroup(hub: HubName, name: string): HubError {
  return new HubError('consumer-group-not-found', `Hub '${hub}' has no consumer group '${printable(name)}'.`)
}
