import { HubError } from '../../errors.ts'
import type { Alarm } from '../../model/alarm.ts'
import type { Device, DuplicatePolicy } from '../../model/device.ts'
import type { DeviceId, HubName } from '../../model/ids.ts'
import type { Bus } from '../../ports/bus.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import { nextEtag } from '../etags.ts'

/** A write that keeps meeting others' writes gives up after so many. */
const ATTEMPTS = 5

export interface QuarantineParts {
  readonly registry: Pick<Registry, 'devices'>
  readonly bus: Bus
  readonly clock: Clock
}

/**
 * Identities that are blocked until a person decides. It is part of the identity: the door reads it with the device, and
 * sessions are closed as by any other change of it.
 */
export class Quarantine {
  readonly #parts: QuarantineParts

  constructor(parts: QuarantineParts) {
    this.#parts = parts
  }

  /** Keeps the first reason. A device that is gone meanwhile stays gone. */
  async impose(hub: HubName, deviceId: DeviceId, alarm: Alarm): Promise<void> {
    const since = this.#parts.clock.now()
    await this.#change(hub, deviceId, (device) =>
      device.quarantine ? device : { ...device, quarantine: { since, alarmId: alarm.id } },
    )
  }

  /** Rejects with `device-not-found`. */
  async release(hub: HubName, deviceId: DeviceId): Promise<Device> {
    const device = await this.#change(hub, deviceId, (current) =>
      current.quarantine ? without(current, 'quarantine') : current,
    )
    if (device === null) throw absent(hub, deviceId)
    return device
  }

  /** Null: as the hub has it. Rejects with `device-not-found`. */
  async setPolicy(hub: HubName, deviceId: DeviceId, policy: DuplicatePolicy | null): Promise<Device> {
    const device = await this.#change(hub, deviceId, (current) =>
      policy === null ? without(current, 'duplicates') : { ...current, duplicates: policy },
    )
    if (device === null) throw absent(hub, deviceId)
    return device
  }

  async #change(hub: HubName, deviceId: DeviceId, change: (device: Device) => Device): Promise<Device | null> {
    const { registry, bus } = this.#parts
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const current = await registry.devices.get(hub, deviceId)
      if (current === null) return null
      const changed = change(current)
      if (changed === current) return current
      const device = { ...changed, etag: nextEtag(current.etag) }
      if ((await registry.devices.replace(device, { kind: 'exactly', etag: current.etag })) === 'written') {
        bus.publish({ kind: 'device-changed', hub, deviceId, change: 'updated' })
        return device
      }
    }
    throw new HubError('precondition-failed', `Device '${deviceId}' keeps changing: try again.`)
  }
}

function without(device: Device, member: 'quarantine' | 'duplicates'): Device {
  const copy: { -readonly [Member in keyof Device]: Device[Member] } = { ...device }
  delete copy[member]
  return copy
}

function absent(hub: HubName, deviceId: DeviceId): HubError {
  return new HubError('device-not-found', `Hub '${hub}' has no device '${deviceId}'.`)
}
