import type { DeviceId, HubName } from '../model/ids.ts'
import type { CountedMessage, MessageCounter } from '../model/message-counter.ts'
import type { MessageCounterStore } from '../ports/registry.ts'
import { Query, numberOf, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'
import type { SingleWrite } from './registry-writes.ts'

/** A counter reaches the disk within this time, ms. */
const FLUSH_MS = 1_000
/** Devices of one write, so that no commit takes long. */
const MAX_BATCH = 500

/** What waits is bounded by the devices that seal, which the hub bounds. */
export class SqliteMessageCounterStore implements MessageCounterStore {
  readonly #writer: RegistryWriter
  readonly #onError: (error: unknown) => void
  readonly #get: Query
  #waiting = new Map<string, MessageCounter>()
  #timer: NodeJS.Timeout | null = null
  #flushing: Promise<void> = Promise.resolve()
  #closed = false

  constructor(reader: RegistryReader, writer: RegistryWriter, onError: (error: unknown) => void) {
    this.#writer = writer
    this.#onError = onError
    this.#get = new Query(
      reader,
      'SELECT last, recent FROM message_counters WHERE hub = ? AND device_id = ? AND generation_id = ?',
    )
  }

  async get(hub: HubName, deviceId: DeviceId, generationId: string): Promise<MessageCounter | null> {
    await this.flush()
    const row = this.#get.one(hub, deviceId, generationId)
    if (row === null) return null
    const last = numberOf(row, 'last')
    // Written by `writeOf`.
    const recent = JSON.parse(textOf(row, 'recent')) as readonly StoredMessage[]
    return { hub, deviceId, generationId, last, recent: recent.map(messageOf) }
  }

  note(counter: MessageCounter): void {
    if (this.#closed) return
    // A slash is in neither alphabet of ids.
    this.#waiting.set(`${counter.hub}/${counter.deviceId}`, counter)
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS)
  }

  flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#flushing = this.#flushing.then(() => this.#writeAll())
    return this.#flushing
  }

  close(): Promise<void> {
    this.#closed = true
    return this.flush()
  }

  async #writeAll(): Promise<void> {
    const writes = [...this.#waiting.values()].map(writeOf)
    this.#waiting = new Map()
    for (let start = 0; start < writes.length; start += MAX_BATCH) {
      try {
        await this.#writer.write({ kind: 'several', writes: writes.slice(start, start + MAX_BATCH) })
      } catch (error) {
        this.#onError(error)
        return
      }
    }
  }
}

type StoredMessage = readonly [counter: number, digest: string, partition: number, sequence: number, time: number]

function writeOf({ hub, deviceId, generationId, last, recent }: MessageCounter): SingleWrite {
  const stored = recent.map(({ counter, digest, position }): StoredMessage => {
    return [counter, digest, position.partition, position.sequence, position.enqueuedTime]
  })
  const row = { hub, device_id: deviceId, generation_id: generationId, last, recent: JSON.stringify(stored) }
  return { kind: 'put', table: 'message_counters', row }
}

function messageOf([counter, digest, partition, sequence, enqueuedTime]: StoredMessage): CountedMessage {
  return { counter, digest, position: { partition, sequence, enqueuedTime } }
}
