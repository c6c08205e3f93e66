import type { Log } from '../../log.ts'
import type { Clock } from '../../ports/clock.ts'

const TRIM_INTERVAL_MS = 10 * 60 * 1000
const HOUR = 60 * 60 * 1000
const MEGABYTE = 1024 * 1024

/** Applies the retention now and then; returns the way to stop. */
export function keepTrimmed(
  retention: { readonly hours: number; readonly megabytes: number },
  log: { trim(limits: { before: number; maxBytes: number }): Promise<unknown> },
  clock: Clock,
  logger: Log,
): () => Promise<void> {
  let running: Promise<unknown> = Promise.resolve()
  const trim = (): void => {
    const limits = {
      before: clock.now() - retention.hours * HOUR,
      maxBytes: retention.megabytes * MEGABYTE,
    }
    running = log
      .trim(limits)
      .catch((error: unknown) => logger.error({ err: error }, 'old events could not be dropped'))
  }
  trim()
  const timer = setInterval(trim, TRIM_INTERVAL_MS)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await running
  }
}
