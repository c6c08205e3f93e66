import type { DeviceId, HubName } from '../model/ids.ts'
import type { Row } from './database.ts'
import type { RegistryWriter } from './registry-writer.ts'

/** A touched device reaches the disk within this time, ms. */
const FLUSH_MS = 500
/** Devices that may wait; a touch of one more is dropped, since the device's next one says the same. */
const MAX_WAITING = 100_000
/** Devices of one write, so that no commit takes long. */
const MAX_BATCH = 2_000

/** As many as are kept. */
const MAX_CERTIFICATES = 8

interface Touch {
  readonly hub: HubName
  readonly deviceId: DeviceId
  lastActivityTime: number
  connectionStateUpdatedTime: number | null
  /** Distinct ones that were shown, at most MAX_CERTIFICATES. */
  readonly certificates: Uint8Array[]
}

/** Collects connection bookkeeping by device and writes it in batches; a failure is told to `onError` and forgotten. */
export class TouchBuffer {
  readonly #writer: RegistryWriter
  readonly #onError: (error: unknown) => void
  #waiting = new Map<string, Touch>()
  #timer: NodeJS.Timeout | null = null
  #flushing: Promise<void> = Promise.resolve()
  #closed = false

  constructor(writer: RegistryWriter, onError: (error: unknown) => void) {
    this.#writer = writer
    this.#onError = onError
  }

  add(
    hub: HubName,
    deviceId: DeviceId,
    times: { lastActivityTime: number; connectionStateUpdatedTime?: number },
    certificate: Uint8Array | null = null,
  ): void {
    // A slash is in neither alphabet of ids.
    const key = `${hub}/${deviceId}`
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) {
      waiting.lastActivityTime = Math.max(waiting.lastActivityTime, times.lastActivityTime)
      waiting.connectionStateUpdatedTime = times.connectionStateUpdatedTime ?? waiting.connectionStateUpdatedTime
      if (certificate !== null) addCertificate(waiting.certificates, certificate)
      return
    }
    if (this.#closed || this.#waiting.size >= MAX_WAITING) return
    const { lastActivityTime, connectionStateUpdatedTime = null } = times
    const certificates = certificate === null ? [] : [certificate]
    this.#waiting.set(key, { hub, deviceId, lastActivityTime, connectionStateUpdatedTime, certificates })
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      void this.flush()
    }, FLUSH_MS)
  }

  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#writeAll())
    return this.#flushing
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    await this.flush()
  }

  async #writeAll(): Promise<void> {
    const touches = [...this.#waiting.values()].flatMap(rowsOf)
    this.#waiting = new Map()
    for (let start = 0; start < touches.length; start += MAX_BATCH) {
      try {
        await this.#writer.write({ kind: 'touch', touches: touches.slice(start, start + MAX_BATCH) })
      } catch (error) {
        this.#onError(error)
        return
      }
    }
  }
}

function addCertificate(certificates: Uint8Array[], certificate: Uint8Array): void {
  if (certificates.length >= MAX_CERTIFICATES) return
  if (certificates.every((other) => Buffer.compare(other, certificate) !== 0)) certificates.push(certificate)
}

function rowsOf(touch: Touch): Row[] {
  const row = {
    hub: touch.hub,
    device_id: touch.deviceId,
    last_activity_time: touch.lastActivityTime,
    connection_state_updated_time: touch.connectionStateUpdatedTime,
  }
  const certificates = touch.certificates.length > 0 ? touch.certificates : [null]
  return certificates.map((certificate) => ({ ...row, certificate }))
}
