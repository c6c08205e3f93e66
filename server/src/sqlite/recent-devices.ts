import { BoundedCache } from '@holdfast/pki'
import type { Device } from '../model/device.ts'
import type { Row } from './database.ts'
import type { WriteWatcher } from './registry-writer.ts'
import type { SingleWrite, Write } from './registry-writes.ts'

const MAX_DEVICES = 8_192
/** UTF-16 units of the longest document kept; most have about 700. */
const MAX_DOCUMENT = 4_096

/**
 * Devices as they stand in the database, so that one that comes back need not be read, opened and parsed again. Exact, not
 * merely fresh: the lock of the data folder leaves no other writer than this process, and every write passes here. From the
 * moment that one is handed over until it is answered, the database alone speaks for the device.
 */
export class RecentDevices implements WriteWatcher {
  readonly #devices = new BoundedCache<Device>(MAX_DEVICES)
  /** Writes under way by device; bounded by what may wait for the registry. */
  readonly #underway = new Map<string, number>()

  get(key: string): Device | undefined {
    return this.#devices.get(key)
  }

  /** Takes what was just read. `document` is the text that it was parsed from. */
  keep(key: string, device: Device, document: string): void {
    if (document.length <= MAX_DOCUMENT && !this.#underway.has(key)) this.#devices.set(key, device)
  }

  begun(write: Write): void {
    for (const key of changedBy(write)) {
      this.#devices.delete(key)
      this.#underway.set(key, (this.#underway.get(key) ?? 0) + 1)
    }
  }

  /** What it left behind is read again, also when it failed. */
  ended(write: Write, isDone: boolean): void {
    for (const key of changedBy(write)) {
      const left = (this.#underway.get(key) ?? 1) - 1
      if (left === 0) this.#underway.delete(key)
      else this.#underway.set(key, left)
    }
    if (write.kind === 'touch' && isDone) for (const touch of write.touches) this.#touch(touch)
  }

  /** Of a device that is not there a touch says nothing, and neither is it here. */
  #touch(touch: Row): void {
    const key = recentKey(touch)
    const device = this.#devices.get(key)
    if (device === undefined) return
    this.#devices.set(key, {
      ...device,
      lastActivityTime: later(device.lastActivityTime, touch['last_activity_time']),
      connectionStateUpdatedTime: later(device.connectionStateUpdatedTime, touch['connection_state_updated_time']),
    })
  }
}

/** A slash is in neither alphabet of ids. */
export function recentKey({ hub, device_id }: Row): string {
  return `${String(hub)}/${String(device_id)}`
}

function changedBy(write: Write): readonly string[] {
  return write.kind === 'several' ? write.writes.flatMap(changedByOne) : changedByOne(write)
}

/** A touch changes times alone. */
function changedByOne(write: SingleWrite): readonly string[] {
  switch (write.kind) {
    case 'create':
    case 'put':
    case 'replace':
      return write.table === 'devices' ? [recentKey(write.row)] : []
    case 'delete':
      return write.table === 'devices' ? [recentKey(write.key)] : []
    case 'complete':
      return [write.device, write.leave].flatMap((row) => (row === null ? [] : [recentKey(row)]))
    case 'touch':
    case 'refuse':
    case 'sight':
      return []
  }
}

function later(known: number | null, seen: Row[string] | undefined): number | null {
  return typeof seen === 'number' ? Math.max(known ?? seen, seen) : known
}
