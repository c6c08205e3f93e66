import type { Device, DeviceCounts } from '../model/device.ts'
import type { ExpectedEtag } from '../model/etag.ts'
import type { DeviceId, HubName } from '../model/ids.ts'
import type { CertificateSeen, DeviceChange, DeviceStore, WriteOutcome } from '../ports/registry.ts'
import type { Row } from './database.ts'
import { recentKey } from './recent-devices.ts'
import type { RecentDevices } from './recent-devices.ts'
import { Query, bytesOf, numberOf, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { Outcome, SingleWrite } from './registry-writes.ts'
import type { RegistryWriter } from './registry-writer.ts'
import type { TouchBuffer } from './touch-buffer.ts'

export class SqliteDeviceStore implements DeviceStore {
  readonly #writer: RegistryWriter
  readonly #touches: TouchBuffer
  readonly #recent: RecentDevices
  readonly #get: Query
  readonly #list: Query
  readonly #count: Query
  readonly #certificatesSeen: Query

  constructor(
    reader: RegistryReader,
    writer: RegistryWriter,
    { touches, recent }: { touches: TouchBuffer; recent: RecentDevices },
  ) {
    const columns = 'hub, device_id, last_activity_time, connection_state_updated_time, doc'
    this.#writer = writer
    this.#touches = touches
    this.#recent = recent
    this.#get = new Query(reader, `SELECT ${columns} FROM devices WHERE hub = ? AND device_id = ?`, 'devices')
    this.#list = new Query(
      reader,
      `SELECT ${columns} FROM devices WHERE hub = ? AND device_id > ? ORDER BY device_id LIMIT ?`,
      'devices',
    )
    this.#certificatesSeen = new Query(
      reader,
      'SELECT certificate, last_seen FROM certificates_seen WHERE hub = ? AND device_id = ? ORDER BY last_seen DESC',
    )
    this.#count = new Query(reader, 'SELECT status, count FROM device_counts WHERE hub = ?')
  }

  async get(hub: HubName, deviceId: DeviceId): Promise<Device | null> {
    const key = recentKey(deviceKey(hub, deviceId))
    const recent = this.#recent.get(key)
    if (recent !== undefined) return recent
    const row = this.#get.one(hub, deviceId)
    if (row === null) return null
    const device = deviceOf(row)
    this.#recent.keep(key, device, textOf(row, 'doc'))
    return device
  }

  async list(hub: HubName, page: { after: DeviceId | null; limit: number }): Promise<readonly Device[]> {
    return this.#list.all(hub, page.after ?? '', page.limit).map(deviceOf)
  }

  async count(hub: HubName): Promise<DeviceCounts> {
    const counts = { enabled: 0, disabled: 0 }
    for (const row of this.#count.all(hub)) counts[textOf(row, 'status') as Device['status']] = numberOf(row, 'count')
    return { total: counts.enabled + counts.disabled, ...counts }
  }

  async create(device: Device): Promise<'written' | 'exists'> {
    return (await this.#writer.write(createOf(device))) as 'written' | 'exists'
  }

  async replace(device: Device, expected: ExpectedEtag): Promise<WriteOutcome> {
    return (await this.#writer.write(replaceOf(device, expected))) as WriteOutcome
  }

  async delete(hub: HubName, deviceId: DeviceId, expected: ExpectedEtag): Promise<WriteOutcome> {
    return (await this.#writer.write(deleteOf(hub, deviceId, expected))) as WriteOutcome
  }

  async apply(changes: readonly DeviceChange[]): Promise<readonly Exclude<Outcome, 'conflict'>[]> {
    const outcomes = await this.#writer.write({ kind: 'several', writes: changes.map(writeOf) })
    return outcomes as readonly Exclude<Outcome, 'conflict'>[]
  }

  touch(
    hub: HubName,
    deviceId: DeviceId,
    times: { lastActivityTime: number; connectionStateUpdatedTime?: number },
    certificate?: Uint8Array,
  ): void {
    this.#touches.add(hub, deviceId, times, certificate)
  }

  async certificatesSeen(hub: HubName, deviceId: DeviceId): Promise<readonly CertificateSeen[]> {
    // Who revokes a device must not miss the certificate that it showed a moment ago.
    await this.#touches.flush()
    const rows = this.#certificatesSeen.all(hub, deviceId)
    return rows.map((row) => ({ certificate: bytesOf(row, 'certificate'), lastSeen: numberOf(row, 'last_seen') }))
  }
}

export function deviceRow(device: Device): Row {
  return {
    hub: device.hub,
    device_id: device.deviceId,
    etag: device.etag,
    status: device.status,
    last_activity_time: device.lastActivityTime,
    connection_state_updated_time: device.connectionStateUpdatedTime,
    doc: JSON.stringify(device),
  }
}

export function deviceKey(hub: HubName, deviceId: DeviceId): Row {
  return { hub, device_id: deviceId }
}

function deviceOf(row: Row): Device {
  // The document was written by `deviceRow`; the columns that `touch` moves are newer than it.
  const device = JSON.parse(textOf(row, 'doc')) as { -readonly [Member in keyof Device]: Device[Member] }
  device.lastActivityTime = row['last_activity_time'] as number | null
  device.connectionStateUpdatedTime = row['connection_state_updated_time'] as number | null
  return device
}

function writeOf(change: DeviceChange): SingleWrite {
  if (change.kind === 'create') return createOf(change.device)
  if (change.kind === 'replace') return replaceOf(change.device, change.expected)
  return deleteOf(change.hub, change.deviceId, change.expected)
}

function createOf(device: Device): SingleWrite {
  return { kind: 'create', table: 'devices', row: deviceRow(device) }
}

function replaceOf(device: Device, expected: ExpectedEtag): SingleWrite {
  return { kind: 'replace', table: 'devices', row: deviceRow(device), expected }
}

function deleteOf(hub: HubName, deviceId: DeviceId, expected: ExpectedEtag): SingleWrite {
  return { kind: 'delete', table: 'devices', key: deviceKey(hub, deviceId), expected }
}
