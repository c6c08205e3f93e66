import type { DeviceId, HubName } from '../model/ids.ts'
import type { CountedMessage, MessageCounter } from '../model/message-counter.ts'
import type { MessageCounterStore } from '../ports/registry.ts'
import { Query, numberOf, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'
import type { SingleWrite } from './registry-writes.ts'
import { WriteBehind } from './write-behind.ts'

/** A counter reaches the disk within this time, ms. */
const FLUSH_MS = 1_000
/** Devices of one write. */
const MAX_BATCH = 500

/** What waits is bounded by the devices that seal, which the hub bounds. */
export class SqliteMessageCounterStore implements MessageCounterStore {
  readonly #get: Query
  readonly #waiting: WriteBehind<MessageCounter>

  constructor(reader: RegistryReader, writer: RegistryWriter, onError: (error: unknown) => void) {
    this.#get = new Query(
      reader,
      'SELECT last, recent FROM message_counters WHERE hub = ? AND device_id = ? AND generation_id = ?',
    )
    this.#waiting = new WriteBehind({
      flushMs: FLUSH_MS,
      maxWaiting: Infinity,
      maxBatch: MAX_BATCH,
      write: (counters) => writer.write({ kind: 'several', writes: counters.map(writeOf) }),
      onError,
    })
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
    // A slash is in neither alphabet of ids.
    this.#waiting.note(`${counter.hub}/${counter.deviceId}`, counter)
  }

  flush(): Promise<void> {
    return this.#waiting.flush()
  }

  close(): Promise<void> {
    return this.#waiting.close()
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
