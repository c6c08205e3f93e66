import type { HubName } from '../model/ids.ts'
import type { PartitionBounds } from './telemetry-log.ts'

/** One file of a data folder, copied while the server goes on. */
export interface SnapshotFile {
  /** Where it belongs: relative to the data folder, with `/`. */
  readonly path: string
  /** The copy; it is the caller's to delete. */
  readonly copy: string
}

/** What the stores in a folder hold: enough to tell whether a copy of it is whole. */
export interface StoreFacts {
  readonly registrySchema: number
  readonly devices: number
  readonly partitions: readonly StoredPartition[]
}

export interface StoredPartition extends PartitionBounds {
  readonly hub: HubName
  readonly partition: number
}

/** Copies the stores of a data folder file by file, each at one moment, and everything that was committed before the first. */
export type Snapshot = (folder: string, staging: string) => AsyncIterable<SnapshotFile>
