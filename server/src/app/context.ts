import type { OpenAppendFile } from '../audit/append-file.ts'
import type { Config } from '../config.ts'
import type { TypedSecrets } from '../keys/configured-source.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Clock, Randomness } from '../ports/clock.ts'

/** What every stage of the start is given. */
export interface Context {
  readonly config: Config
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly metrics: Metrics
  readonly typed: TypedSecrets
  readonly openAuditFile: OpenAppendFile
  /** Run in reverse order when the server stops, or when its start fails. */
  readonly onClose: (closer: () => Promise<void> | void) => void
  /** Called once when the server can acknowledge nothing any more. */
  readonly onFailure: (error: Error) => void
  readonly hasFailed: () => boolean
}
