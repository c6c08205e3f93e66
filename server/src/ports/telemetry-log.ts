import type { DeviceId, HubName } from '../model/ids.ts'
import type { HubEvent, Position, StoredEvent } from '../model/message.ts'

/**
 * The durable stream of one server: per hub, a fixed number of partitions, each an ordered log without gaps.
 *
 * Contract, for every adapter:
 * - `append` resolves only after the event is on disk (fsync or its equal) and keeps, within a partition, the order of
 *   the calls. Appends that wait together share one commit. It rejects with `storage-full` when the disk is full or
 *   `throttled` when more than the configured bytes wait; a rejected event is not in the log and leaves no gap.
 * - `read` returns committed events only, in order, starting at the first whose sequence is ≥ `from`; it never blocks for new ones.
 * - Reopening after a crash at any instant yields every acknowledged event and no torn one.
 */
export interface TelemetryLog {
  append(partition: number, event: HubEvent): Promise<Position>
  read(
    hub: HubName,
    partition: number,
    from: number,
    budget: { events: number; bytes: number },
  ): Promise<readonly StoredEvent[]>
  bounds(hub: HubName, partition: number): Promise<PartitionBounds>
  /** Sequence of the first event enqueued at or after `time`; one past the last when there is none. */
  seek(hub: HubName, partition: number, time: number): Promise<number>
  /** Calls back after each commit that touched the partition, a hint to read again; returns the way to stop. */
  onCommit(hub: HubName, partition: number, listener: () => void): () => void
  /**
   * Drops whole periods whose events are all older than `before` (ms), and then the oldest ones until at most `maxBytes`
   * remain or only the one being written to does. Sequences and times go on where they were.
   */
  trim(limits: { before: number; maxBytes: number }): Promise<{ removedBytes: number }>
  /**
   * Empties what the hub holds of a device: body and properties of its events are gone for good when this resolves, their
   * places stay. Events of `keepGenerationId` (the device that has the id now) are spared.
   */
  erase(hub: HubName, deviceId: DeviceId, keepGenerationId: string | null): Promise<{ events: number }>
  close(): Promise<void>
}

/** `last` is one less than `next`; an empty partition has `begin === next`. Sequences start at 0. */
export interface PartitionBounds {
  readonly begin: number
  readonly next: number
  /** ms; null when nothing was ever written. */
  readonly lastEnqueuedTime: number | null
}
