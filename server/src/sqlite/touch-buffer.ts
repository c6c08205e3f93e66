import type { DeviceId, HubName } from '../model/ids.ts'
import type { Row } from './database.ts'
import type { RegistryWriter } from './registry-writer.ts'
import { WriteBehind } from './write-behind.ts'

/** A touched device reaches the disk within this time, ms. */
const FLUSH_MS = 500
/** Devices that may wait; a touch of one more is dropped, since the device's next one says the same. */
const MAX_WAITING = 100_000
/** Devices of one write. */
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

/** Collects connection bookkeeping by device and writes it in batches. */
export class TouchBuffer {
  readonly #waiting: WriteBehind<Touch>

  constructor(writer: RegistryWriter, onError: (error: unknown) => void) {
    this.#waiting = new WriteBehind({
      flushMs: FLUSH_MS,
      maxWaiting: MAX_WAITING,
      maxBatch: MAX_BATCH,
      write: (touches) => writer.write({ kind: 'touch', touches: touches.flatMap(rowsOf) }),
      onError,
    })
  }

  add(
    hub: HubName,
    deviceId: DeviceId,
    times: { lastActivityTime: number; connectionStateUpdatedTime?: number },
    certificate: Uint8Array | null = null,
  ): void {
    // A slash is in neither alphabet of ids.
    const key = `${hub}/${deviceId}`
    const waiting = this.#waiting.peek(key)
    if (waiting !== undefined) {
      waiting.lastActivityTime = Math.max(waiting.lastActivityTime, times.lastActivityTime)
      waiting.connectionStateUpdatedTime = times.connectionStateUpdatedTime ?? waiting.connectionStateUpdatedTime
      if (certificate !== null) addCertificate(waiting.certificates, certificate)
      return
    }
    const { lastActivityTime, connectionStateUpdatedTime = null } = times
    const certificates = certificate === null ? [] : [certificate]
    this.#waiting.note(key, { hub, deviceId, lastActivityTime, connectionStateUpdatedTime, certificates })
  }

  flush(): Promise<void> {
    return this.#waiting.flush()
  }

  close(): Promise<void> {
    return this.#waiting.close()
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
