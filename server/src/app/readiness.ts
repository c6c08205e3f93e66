import { statfsSync } from 'node:fs'
import type { AuditLog } from '../audit/audit-log.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { SettingStore } from '../ports/registry.ts'

/** Below this much free space the stores begin to refuse: a segment, the write-ahead logs and the audit log go on growing. */
const MIN_FREE_BYTES = 32 * 1024 * 1024

const NOT_READY = ['stopping', 'storage-failed', 'disk-full', 'audit-unwritable'] as const
type Reason = (typeof NOT_READY)[number]

export interface ReadinessParts {
  /** The data folder. */
  readonly data: string
  readonly settings: Pick<SettingStore, 'get'>
  readonly audit: Pick<AuditLog, 'facts'>
  /** False from the moment the server drains. */
  readonly accepting: () => boolean
  /** Whether a store has stopped working for good. */
  readonly hasFailed: () => boolean
  readonly metrics: Pick<Metrics, 'notReady'>
  readonly log: Log
}

/**
 * Whether the server can keep what it would be given, looked at anew each time. Strangers may ask, so they learn that alone;
 * the reasons are in the metrics, and in the log when they change.
 */
export class Readiness {
  readonly #parts: ReadinessParts
  #known = ''

  constructor(parts: ReadinessParts) {
    this.#parts = parts
  }

  async isReady(): Promise<boolean> {
    const { metrics, log } = this.#parts
    const reasons = await this.#reasons()
    for (const reason of NOT_READY) metrics.notReady.set({ reason }, reasons.has(reason) ? 1 : 0)
    const found = [...reasons].join(', ')
    if (found !== this.#known) {
      this.#known = found
      if (found === '') log.info('ready again')
      else log.error({ reasons: [...reasons] }, 'not ready')
    }
    return reasons.size === 0
  }

  async #reasons(): Promise<ReadonlySet<Reason>> {
    const { accepting, hasFailed, audit } = this.#parts
    const reasons = new Set<Reason>()
    if (!accepting()) reasons.add('stopping')
    if (hasFailed() || !(await this.#answers())) reasons.add('storage-failed')
    if (this.#isFull()) reasons.add('disk-full')
    if (audit.facts().trouble !== null) reasons.add('audit-unwritable')
    return reasons
  }

  async #answers(): Promise<boolean> {
    try {
      await this.#parts.settings.get('readiness')
      return true
    } catch (error) {
      this.#parts.log.debug({ err: error }, 'the registry does not answer')
      return false
    }
  }

  #isFull(): boolean {
    const { bavail, bsize } = statfsSync(this.#parts.data)
    return bavail * bsize < MIN_FREE_BYTES
  }
}
