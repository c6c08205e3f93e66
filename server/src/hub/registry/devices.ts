import { HubError } from '../../errors.ts'
import type { Device, DeviceCounts } from '../../model/device.ts'
import type { ExpectedEtag } from '../../model/etag.ts'
import { etagMatches } from '../../model/etag.ts'
import type { DeviceId, HubName } from '../../model/ids.ts'
import { parseDeviceId, printable } from '../../model/ids.ts'
import type { Bus } from '../../ports/bus.ts'
import type { Clock, Randomness } from '../../ports/clock.ts'
import type { Registry, WriteOutcome } from '../../ports/registry.ts'
import type { DeviceSpec } from './device-spec.ts'
import { changedDevice, newDevice } from './device-spec.ts'

export type { AuthenticationSpec, DeviceSpec } from './device-spec.ts'

/** The service's limits for one call. */
const MAX_BULK = 100
const MAX_PAGE = 1_000
/** An unconditional write that keeps meeting others' writes gives up after so many. */
const WRITE_ATTEMPTS = 5
const ANY: ExpectedEtag = { kind: 'any' }

const BULK_MODES = [
  'create',
  'update',
  'updateIfMatchETag',
  'delete',
  'deleteIfMatchETag',
  'createOrUpdate',
  'createOrUpdateIfMatchETag',
] as const
type BulkMode = (typeof BULK_MODES)[number]

export interface BulkOperation {
  /** As the wire spells it, in any case. */
  readonly mode: string
  /** For the modes with IfMatchETag. */
  readonly expected: ExpectedEtag | null
  readonly spec: DeviceSpec
}

export interface BulkResult {
  readonly isSuccessful: boolean
  readonly errors: readonly { readonly deviceId: string; readonly mode: string; readonly error: HubError }[]
}

/** Told once an identity has been made or deleted. */
export interface DeviceLifecycle {
  created(device: Device): void
  deleted(device: Pick<Device, 'hub' | 'deviceId'>): void
}

/** The device identities of the hubs. A change is told to the sessions, which close what it takes the ground from. */
export class Devices {
  readonly #registry: Pick<Registry, 'devices'>
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #random: Randomness

  readonly #lifecycle: DeviceLifecycle | undefined

  constructor(parts: {
    registry: Pick<Registry, 'devices'>
    bus: Bus
    clock: Clock
    random: Randomness
    lifecycle?: DeviceLifecycle
  }) {
    this.#lifecycle = parts.lifecycle
    this.#registry = parts.registry
    this.#bus = parts.bus
    this.#clock = parts.clock
    this.#random = parts.random
  }

  /** Rejects with `device-already-exists` or `argument-invalid`. */
  async create(hub: HubName, spec: DeviceSpec): Promise<Device> {
    const device = newDevice(hub, spec, this.#clock.now(), this.#random)
    if ((await this.#registry.devices.create(device)) === 'exists')
      throw new HubError('device-already-exists', `Hub '${hub}' already has a device '${device.deviceId}'.`)
    this.#lifecycle?.created(device)
    return device
  }

  /** Rejects with `device-not-found`, `precondition-failed` or `argument-invalid`. */
  async update(hub: HubName, spec: DeviceSpec, expected: ExpectedEtag): Promise<Device> {
    const deviceId = parseDeviceId(spec.deviceId)
    for (let attempt = 1; attempt <= WRITE_ATTEMPTS; attempt++) {
      const current = await this.get(hub, deviceId)
      if (!etagMatches(expected, current.etag)) throw stale(deviceId)
      const device = changedDevice(current, spec, this.#clock.now(), this.#random)
      const outcome = await this.#registry.devices.replace(device, { kind: 'exactly', etag: current.etag })
      if (outcome === 'written') {
        this.#tell(device, device.status === 'disabled' ? 'disabled' : 'updated')
        return device
      }
    }
    throw stale(deviceId)
  }

  /** Rejects with `device-not-found`. */
  async get(hub: HubName, deviceId: DeviceId): Promise<Device> {
    const device = await this.#registry.devices.get(hub, deviceId)
    if (device === null) throw absent(hub, deviceId)
    return device
  }

  /** At most 1,000, by id in byte order, beginning after `after`. */
  list(hub: HubName, top: number, after: DeviceId | null = null): Promise<readonly Device[]> {
    return this.#registry.devices.list(hub, { after, limit: Math.max(1, Math.min(top, MAX_PAGE)) })
  }

  /** Rejects with `device-not-found` or `precondition-failed`. */
  async delete(hub: HubName, deviceId: DeviceId, expected: ExpectedEtag): Promise<void> {
    const outcome = await this.#registry.devices.delete(hub, deviceId, expected)
    requireWritten(outcome, hub, deviceId)
    this.#tell({ hub, deviceId }, 'deleted')
    this.#lifecycle?.deleted({ hub, deviceId })
  }

  statistics(hub: HubName): Promise<DeviceCounts> {
    return this.#registry.devices.count(hub)
  }

  /** Each operation succeeds or fails on its own, in the order given. Rejects with `argument-invalid` as a whole. */
  async bulk(hub: HubName, operations: readonly BulkOperation[]): Promise<BulkResult> {
    if (operations.length === 0 || operations.length > MAX_BULK)
      throw new HubError('argument-invalid', `A bulk request holds 1 to ${MAX_BULK} devices, not ${operations.length}.`)
    requireDistinct(operations)
    // No two touch one device, so they may wait for the same commit.
    const outcomes = await Promise.all(operations.map((operation) => this.#attempt(hub, operation)))
    const errors = operations.flatMap(({ mode, spec }, index) => {
      const error = outcomes[index]
      return error ? [{ deviceId: spec.deviceId, mode, error }] : []
    })
    return { isSuccessful: errors.length === 0, errors }
  }

  async #attempt(hub: HubName, operation: BulkOperation): Promise<HubError | null> {
    try {
      await this.#perform(hub, operation)
      return null
    } catch (error) {
      if (error instanceof HubError) return error
      throw error
    }
  }

  async #perform(hub: HubName, { mode, expected, spec }: BulkOperation): Promise<unknown> {
    const id = () => parseDeviceId(spec.deviceId)
    const acts = {
      create: () => this.create(hub, spec),
      update: () => this.update(hub, spec, ANY),
      updateIfMatchETag: () => this.update(hub, spec, requireEtag(expected)),
      delete: () => this.delete(hub, id(), ANY),
      deleteIfMatchETag: () => this.delete(hub, id(), requireEtag(expected)),
      createOrUpdate: () => this.#createOrUpdate(hub, spec, ANY),
      createOrUpdateIfMatchETag: () => this.#createOrUpdate(hub, spec, requireEtag(expected)),
    } satisfies Record<BulkMode, () => Promise<unknown>>
    return acts[parseMode(mode)]()
  }

  async #createOrUpdate(hub: HubName, spec: DeviceSpec, expected: ExpectedEtag): Promise<Device> {
    const known = await this.#registry.devices.get(hub, parseDeviceId(spec.deviceId))
    return known === null ? this.create(hub, spec) : this.update(hub, spec, expected)
  }

  #tell({ hub, deviceId }: Pick<Device, 'hub' | 'deviceId'>, change: 'updated' | 'disabled' | 'deleted'): void {
    this.#bus.publish({ kind: 'device-changed', hub, deviceId, change })
  }
}

function parseMode(text: string): BulkMode {
  const mode = BULK_MODES.find((mode) => mode.toLowerCase() === text.toLowerCase())
  if (mode !== undefined) return mode
  if (/^updatetwin(ifmatchetag)?$/i.test(text))
    throw new HubError('not-implemented', 'Bulk updates of twins are not supported.')
  throw new HubError('argument-invalid', `'${printable(text)}' is no import mode: use ${BULK_MODES.join(', ')}.`)
}

function requireEtag(expected: ExpectedEtag | null): ExpectedEtag {
  if (expected === null) throw new HubError('argument-invalid', 'This import mode needs the etag of the device.')
  return expected
}

function requireDistinct(operations: readonly BulkOperation[]): void {
  const ids = new Set<string>()
  for (const { spec } of operations) {
    if (ids.has(spec.deviceId))
      throw new HubError('argument-invalid', `Device '${printable(spec.deviceId)}' stands in the request twice.`)
    ids.add(spec.deviceId)
  }
}

function requireWritten(outcome: WriteOutcome, hub: HubName, deviceId: DeviceId): void {
  if (outcome === 'absent') throw absent(hub, deviceId)
  if (outcome === 'etag-mismatch') throw stale(deviceId)
}

function absent(hub: HubName, deviceId: DeviceId): HubError {
  return new HubError('device-not-found', `Hub '${hub}' has no device '${deviceId}'.`)
}

function stale(deviceId: DeviceId): HubError {
  return new HubError('precondition-failed', `Device '${deviceId}' has changed: read it again and repeat the change.`)
}
