import type { DatabaseSync } from 'node:sqlite'
import { faultOf } from './fault.ts'

/** Quiet time after which the write-ahead log is copied into the database, ms. */
const IDLE_MS = 100
/** Wait before another try when the disk was full, ms. */
const RETRY_MS = 2_000

/**
 * Copies the write-ahead log into its database while the worker has nothing else to do, or between two commits once
 * `limit` bytes wait: an automatic checkpoint would run inside a commit and delay its acknowledgement.
 */
export class Checkpointer {
  readonly #database: DatabaseSync
  readonly #limit: number
  #waiting = 0
  /** The write-ahead log holds copies of pages that must not stay there. */
  #mustEmpty = false
  #timer: NodeJS.Timeout | null = null

  constructor(database: DatabaseSync, limit: number) {
    this.#database = database
    this.#limit = limit
  }

  /**
   * To be called after the commit has been acknowledged; `bytes` is roughly what it wrote. `erased`: something was
   * deleted or replaced, and the next run leaves no copy of it in the write-ahead log.
   */
  committed(bytes: number, erased = false): void {
    this.#waiting += bytes
    if (erased) this.#mustEmpty = true
    if (this.#waiting >= this.#limit) this.#run()
    else this.#schedule(IDLE_MS)
  }

  /** Copies the rest and empties the write-ahead log: the database will not be written to again for now. */
  close(): void {
    this.#stop()
    this.#checkpoint('TRUNCATE')
  }

  #stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #schedule(delay: number): void {
    this.#stop()
    this.#timer = setTimeout(() => this.#run(), delay)
  }

  #run(): void {
    this.#stop()
    this.#waiting = 0
    // PASSIVE never waits for a reader; what it could not copy is copied by the next run.
    if (!this.#checkpoint(this.#mustEmpty ? 'TRUNCATE' : 'PASSIVE')) this.#schedule(RETRY_MS)
    else this.#mustEmpty = false
  }

  /** False when the disk is full or, for TRUNCATE, a reader is in the way. Nothing is lost: the pages stay in the write-ahead log until there is room. */
  #checkpoint(mode: 'PASSIVE' | 'TRUNCATE'): boolean {
    try {
      const result = this.#database.prepare(`PRAGMA wal_checkpoint(${mode})`).get()
      return mode === 'PASSIVE' || result?.['busy'] === 0
    } catch (error) {
      if (faultOf(error).code !== 'storage-full') throw error
      return false
    }
  }
}
