import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply } from 'fastify'
import { HubError } from '../../errors.ts'
import type { Routes } from '../routes.ts'

export const MAX_WAIT_SECONDS = 30
/** Rows reach the store in batches, within a second; a waiting reader looks this often. */
const LOOK_INTERVAL_MS = 500
const MAX_WAITING = 16

/** Readers of a growing list who wait for what comes next. */
export class Followers {
  readonly #closing = new AbortController()
  #waiting = 0

  constructor(routes: Routes) {
    routes.addHook('preClose', async () => this.#closing.abort())
  }

  /** What is there, or comes within so many seconds. Rejects with `throttled` when too many are waiting. */
  async list<Row>(look: () => Promise<readonly Row[]>, seconds: number, reply: FastifyReply): Promise<readonly Row[]> {
    const found = await look()
    if (found.length > 0 || seconds === 0) return found
    if (this.#waiting >= MAX_WAITING)
      throw new HubError('throttled', `${MAX_WAITING} readers are waiting already.`, { retryAfter: seconds })
    this.#waiting++
    try {
      return await lookUntil(look, seconds, this.#untilGone(reply))
    } finally {
      this.#waiting--
    }
  }

  #untilGone(reply: FastifyReply): AbortSignal {
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    return AbortSignal.any([gone.signal, this.#closing.signal])
  }
}

async function lookUntil<Row>(
  look: () => Promise<readonly Row[]>,
  seconds: number,
  signal: AbortSignal,
): Promise<readonly Row[]> {
  for (let looks = Math.ceil((seconds * 1000) / LOOK_INTERVAL_MS); looks > 0 && !signal.aborted; looks--) {
    // The wait ends early when the reader leaves or the server closes: both are no failure.
    await delay(LOOK_INTERVAL_MS, undefined, { signal }).catch(() => undefined)
    const found = await look()
    if (found.length > 0) return found
  }
  return []
}
