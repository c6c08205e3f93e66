import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import { countEndingDevices, EXPIRY_KINDS, listExpiries } from './expiry.ts'
import type { Expiries, Expiry, ExpiryParts } from './expiry.ts'

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
const LOOK_MS = HOUR_MS
/** What ends within this time is worth a warning. */
const WARN_MS = 30 * DAY_MS
/** Metrics tell the earliest end of each kind up to here. */
const HORIZON_MS = 100 * 365 * DAY_MS
/** Warnings of one day; further ones are counted. */
const MAX_WARNINGS = 20

const WITHIN_DAYS = [0, 1, 7, 30] as const

export interface ExpiryWatchParts extends ExpiryParts {
  readonly metrics: Pick<Metrics, 'expirySeconds' | 'expiring'>
  readonly log: Log
}

/** Looks each hour at what ends when; sets the metrics, and warns in the log once a day. */
export class ExpiryWatch {
  readonly #parts: ExpiryWatchParts
  readonly #timer: NodeJS.Timeout
  #warnedAt = -Infinity
  #looking: Promise<void> = Promise.resolve()
  #closed = false

  constructor(parts: ExpiryWatchParts) {
    this.#parts = parts
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref()
  }

  /** What ends within this time (ms) from now, or has ended; the earliest first. */
  list(within: number): Promise<Expiries> {
    return listExpiries(this.#parts, within)
  }

  /** Never rejects: what goes wrong is logged. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look())
    return this.#looking
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#looking
  }

  async #look(): Promise<void> {
    if (this.#closed) return
    try {
      await this.#tell(await this.list(HORIZON_MS))
    } catch (error) {
      if (!this.#closed) this.#parts.log.error({ err: error }, 'it could not be found out what expires when')
    }
  }

  async #tell({ items }: Expiries): Promise<void> {
    const { clock, metrics } = this.#parts
    const now = clock.now()
    metrics.expirySeconds.reset()
    for (const kind of EXPIRY_KINDS) {
      const ends = items.filter((item) => item.kind === kind).map(({ notAfter }) => notAfter)
      const [earliest] = ends
      if (earliest !== undefined) metrics.expirySeconds.set({ kind }, Math.round((earliest - now) / 1000))
      for (const days of WITHIN_DAYS) {
        const before = now + days * DAY_MS
        // Devices are listed up to a number and counted in full.
        const count =
          kind === 'device' ? await countEndingDevices(this.#parts, before) : ends.filter((end) => end < before).length
        metrics.expiring.set({ kind, within: `${days}d` }, count)
      }
    }
    if (now - this.#warnedAt < DAY_MS) return
    this.#warnedAt = now
    const due = items.filter(({ kind, notAfter }) => kind !== 'device' && notAfter < now + WARN_MS)
    this.#warn(due, await countEndingDevices(this.#parts, now + WARN_MS), now)
  }

  #warn(due: readonly Expiry[], devices: number, now: number): void {
    const { log } = this.#parts
    for (const { kind, hub, name, subject, notAfter } of due.slice(0, MAX_WARNINGS)) {
      const facts = { kind, hub, name, subject, notAfter: new Date(notAfter).toISOString() }
      log.warn(facts, notAfter < now ? 'a certificate has expired' : 'a certificate expires within 30 days')
    }
    const more = Math.max(0, due.length - MAX_WARNINGS)
    if (more > 0 || devices > 0)
      log.warn({ devices, more }, 'further certificates expire within 30 days: see `holdfast expiry`')
  }
}
