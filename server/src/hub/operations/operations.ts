import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import type { Alarm } from '../../model/alarm.ts'
import type { Device } from '../../model/device.ts'
import type { HubName } from '../../model/ids.ts'
import type { Refusal } from '../../model/refusal.ts'
import type { Revocation } from '../../model/revocation.ts'
import type { Session } from '../../model/session.ts'
import type { JsonObject } from '../../model/twin.ts'
import type { Clock, Randomness } from '../../ports/clock.ts'
import type { TelemetryLog } from '../../ports/telemetry-log.ts'
import type { DeviceLifecycle } from '../registry/devices.ts'
import type { HubDefinition, Hubs } from '../hubs.ts'
import { operationsStreamOf } from '../hubs.ts'
import * as events from './operation-events.ts'
import type { Operation } from './operation-events.ts'
import { partitionOf } from '../telemetry/partition.ts'

/** Events of all hubs that may wait for the disk. */
const MAX_WAITING = 10_000
/** What happens within this time goes to disk together: a fleet that connects must not cost a commit for each device. */
const GATHER_MS = 50
/** The same while so much happens that the last time brought MANY events. */
const GATHER_BUSY_MS = 500
const MANY = 8
/** Events of one millisecond that are told apart by their number. */
const NUMBERS = 2 ** 20
/** Refusals in a second: a flood of them leaves the streams to what happens. All of them are counted in the metrics. */
const MAX_REFUSALS_PER_SECOND = 100

export interface OperationsParts {
  readonly hubs: Hubs
  readonly log: TelemetryLog
  readonly clock: Clock
  readonly random: Randomness
  readonly logger: Log
  readonly metrics: Pick<Metrics, 'droppedOperations'>
  /** A twin as the service API shows it. */
  readonly twinOf: (device: Device) => JsonObject
}

/**
 * Writes what happens at the hubs to their operations streams. Nobody waits for it: when the disk is too slow events are
 * dropped, and the stream says how many.
 */
export class Operations implements DeviceLifecycle {
  readonly #parts: OperationsParts
  readonly #gathered: Operation[] = []
  #gathering: NodeJS.Timeout | null = null
  readonly #underway = new Set<Promise<void>>()
  /** By hub: events that are missing since the last one written. */
  readonly #dropped = new Map<HubName, number>()
  #second = 0
  #refusals = 0
  /** The number of the last connection event: the time, then a count within it. */
  #sequence = { time: 0, count: 0 }
  #isBusy = false

  constructor(parts: OperationsParts) {
    this.#parts = parts
  }

  connection(session: Session, change: 'connected' | 'disconnected'): void {
    this.#write(events.connectionEvent(session, change, this.#nextSequence(), this.#stamp()))
  }

  created(device: Device): void {
    this.#write(events.lifecycleEvent(device, 'createDeviceIdentity', this.#parts.twinOf(device), this.#stamp()))
  }

  deleted(device: Pick<Device, 'hub' | 'deviceId'>): void {
    const twin = { deviceId: device.deviceId }
    this.#write(events.lifecycleEvent(device, 'deleteDeviceIdentity', twin, this.#stamp()))
  }

  refused(refusal: Refusal): void {
    const operation = events.refusalEvent(refusal, this.#stamp())
    if (this.#mayWriteRefusal()) this.#write(operation)
    else this.#drop(operation)
  }

  revoked(revocation: Revocation): void {
    this.#write(events.revocationEvent(revocation, this.#stamp()))
  }

  alarmed(alarm: Alarm): void {
    this.#write(events.alarmEvent(alarm, this.#stamp()))
  }

  released(device: Pick<Device, 'hub' | 'deviceId'>, by: string): void {
    this.#write(events.releaseEvent(device, by, this.#stamp()))
  }

  /** Resolves when everything that was taken until now is in the log or has failed. */
  async flush(): Promise<void> {
    this.#writeGathered()
    await Promise.all(this.#underway)
  }

  #write(operation: Operation): void {
    if (this.#underway.size + this.#gathered.length >= MAX_WAITING) return this.#drop(operation)
    const { name } = this.#hubOf(operation)
    const dropped = this.#dropped.get(name) ?? 0
    if (dropped > 0) this.#gathered.push(events.droppedEvent(name, dropped, this.#stamp()))
    this.#dropped.delete(name)
    this.#gathered.push(operation)
    this.#gathering ??= setTimeout(() => this.#writeGathered(), this.#isBusy ? GATHER_BUSY_MS : GATHER_MS)
  }

  /** In one turn of the event loop, so that the log makes one batch of it. */
  #writeGathered(): void {
    if (this.#gathering !== null) clearTimeout(this.#gathering)
    this.#gathering = null
    const gathered = this.#gathered.splice(0)
    this.#isBusy = gathered.length >= MANY
    for (const operation of gathered) this.#append(operation, this.#hubOf(operation))
  }

  #append(operation: Operation, hub: HubDefinition): void {
    const { log } = this.#parts
    const own = log.append(0, events.eventOf(operation, hub.name, operationsStreamOf(hub.name)))
    this.#follow(own, operation)
    if (hub.events?.includes(operation.category) !== true) return
    const partition = partitionOf(operation.deviceId ?? '', hub.partitions)
    this.#follow(log.append(partition, events.eventOf(operation, hub.name, hub.name)), operation)
  }

  #follow(appended: Promise<unknown>, operation: Operation): void {
    const settled = appended
      .then(() => undefined)
      .catch((error: unknown) => {
        this.#parts.logger.warn({ err: error, opType: operation.opType }, 'an event could not be written to its stream')
        this.#drop(operation)
      })
      .finally(() => this.#underway.delete(settled))
    this.#underway.add(settled)
  }

  #drop(operation: Operation): void {
    const { name } = this.#hubOf(operation)
    this.#dropped.set(name, (this.#dropped.get(name) ?? 0) + 1)
    this.#parts.metrics.droppedOperations.inc({ category: operation.category })
  }

  #hubOf({ hub }: Operation): HubDefinition {
    const { hubs } = this.#parts
    return (hub === null ? null : hubs.get(hub)) ?? hubs.home
  }

  #mayWriteRefusal(): boolean {
    const second = Math.floor(this.#parts.clock.now() / 1_000)
    if (second !== this.#second) {
      this.#second = second
      this.#refusals = 0
    }
    return this.#refusals++ < MAX_REFUSALS_PER_SECOND
  }

  /** Beginning with the time, so that it goes on growing after a restart, and also when the clock goes back. */
  #nextSequence(): string {
    const now = this.#parts.clock.now()
    const { time, count } = this.#sequence
    if (now > time) this.#sequence = { time: now, count: 0 }
    else this.#sequence = count + 1 < NUMBERS ? { time, count: count + 1 } : { time: time + 1, count: 0 }
    const digits = this.#sequence.time.toString(16) + this.#sequence.count.toString(16).padStart(5, '0')
    return digits.toUpperCase().padStart(32, '0')
  }

  #stamp(): Pick<Operation, 'time' | 'correlationId'> {
    const { clock, random } = this.#parts
    return { time: clock.now(), correlationId: Buffer.from(random.bytes(16)).toString('hex') }
  }
}
