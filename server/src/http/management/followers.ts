import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply } from 'fastify'
import { HubError } from '../../errors.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from './access.ts'

export const MAX_WAIT_SECONDS = 30
/** Rows reach the store in batches, within a second; a waiting reader looks this often. */
const LOOK_INTERVAL_MS = 500
const MAX_WAITING = 16

/** Readers of a growing list who wait for what comes next, as long as they may read it. */
export class Followers {
  readonly #closing = new AbortController()
  readonly #access: Pick<ManagementAccess, 'hold'>
  #waiting = 0

  constructor(routes: Routes, access: Pick<ManagementAccess, 'hold'>) {
    this.#access = access
    routes.addHook('preClose', async () => this.#closing.abort())
  }

  /**
   * What is there, or comes within so many seconds. Rejects with `throttled` when too many are waiting, and at once with
   * `unauthorized` or `credential-expired` when the reader's log-in ends.
   */
  async list<Row>(look: () => Promise<readonly Row[]>, seconds: number, reply: FastifyReply): Promise<readonly Row[]> {
    const found = await look()
    if (found.length > 0 || seconds === 0) return found
    if (this.#waiting >= MAX_WAITING)
      throw new HubError('throttled', `${MAX_WAITING} readers are waiting already.`, { retryAfter: seconds })
    this.#waiting++
    const lost = new AbortController()
    try {
      const release = await this.#access.hold(reply.request, (error) => lost.abort(error))
      try {
        const rows = await lookUntil(look, seconds, AbortSignal.any([lost.signal, this.#untilGone(reply)]))
        // Also what came in the moment of the end is not for him.
        lost.signal.throwIfAborted()
        return rows
      } finally {
        release()
      }
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
  for (let looks = Math.ceil((seconds * 1000) / LOOK_INTERVAL_MS); looks > 0; looks--) {
    // The wait ends early when the reader leaves or may read no more, or the server closes: none is a failure here.
    await delay(LOOK_INTERVAL_MS, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) return []
    const found = await look()
    if (found.length > 0) return found
  }
  return []
}
