export interface TelemetryLogSettings {
  /**
   * Length of a period, ms, in whole seconds. An hour by default: retention of a day is then kept to within an hour,
   * and a week is 168 files, which open in a fraction of a second.
   */
  readonly periodMs: number
  /** A segment of this size is followed by another one, so that retention by size has small steps. */
  readonly segmentBytes: number
  /** Bytes of one block, the unit of reading. */
  readonly blockBytes: number
  /** Bytes of one commit: bounds how long an acknowledgement waits for those before it. */
  readonly maxBatchBytes: number
  /** Bytes that may wait for the disk before `append` rejects with `throttled`. */
  readonly maxWaitingBytes: number
  /** Bytes in the write-ahead log at which a checkpoint no longer waits for an idle moment. */
  readonly checkpointBytes: number
  /** Memory of the blocks that stay decoded for readers, about. */
  readonly cacheBytes: number
  /** Quota of each segment file in pages of 4 KiB. */
  readonly maxPages: number | undefined
}

export const DEFAULT_LOG_SETTINGS: TelemetryLogSettings = {
  periodMs: 60 * 60 * 1_000,
  segmentBytes: 256 * 1024 * 1024,
  blockBytes: 256 * 1024,
  maxBatchBytes: 2 * 1024 * 1024,
  maxWaitingBytes: 64 * 1024 * 1024,
  checkpointBytes: 16 * 1024 * 1024,
  cacheBytes: 32 * 1024 * 1024,
  maxPages: undefined,
}
