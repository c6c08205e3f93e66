import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { HubError } from '../errors.ts'
import { mayPostTo } from '../hub/operations/webhook-address.ts'
import type { LinkedHub } from '../model/enrollment.ts'
import type { JsonObject, JsonValue } from '../model/twin.ts'
import type { AllocationChoice, ResolveHost } from './allocation.ts'
import { parseInitialTwin } from './initial-twin.ts'
import type { InitialTwinDraft } from './initial-twin.ts'

export interface WebhookLimits {
  /** ms for one call, answer included. Azure gives a function five seconds. */
  readonly timeout: number
  /** Bytes of an answer; a twin takes at most 32 kB of it. */
  readonly answerBytes: number
  /** Calls under way at the same time. */
  readonly concurrency: number
  /** Calls that wait for their turn; one more is refused as throttled. */
  readonly waiting: number
}

export const DEFAULT_WEBHOOK_LIMITS: WebhookLimits = {
  timeout: 5_000,
  answerBytes: 64 * 1024,
  concurrency: 16,
  waiting: 1_000,
}

const Answer = Compile(
  Type.Object({
    iotHubHostName: Type.String({ minLength: 1, maxLength: 255 }),
    initialTwin: Type.Optional(
      Type.Union([
        Type.Null(),
        Type.Object({
          tags: Type.Optional(Type.Union([Type.Null(), Type.Record(Type.String(), Type.Unknown())])),
          properties: Type.Optional(
            Type.Union([
              Type.Null(),
              Type.Object({
                desired: Type.Optional(Type.Union([Type.Null(), Type.Record(Type.String(), Type.Unknown())])),
              }),
            ]),
          ),
        }),
      ]),
    ),
    payload: Type.Optional(Type.Unknown()),
  }),
)

/** Asks an operator's own service where a device shall live (custom allocation). */
export class AllocationWebhook {
  readonly #limits: WebhookLimits
  readonly #closing = new AbortController()
  readonly #queue: (() => void)[] = []
  #running = 0

  constructor(limits: WebhookLimits = DEFAULT_WEBHOOK_LIMITS) {
    this.#limits = limits
  }

  /**
   * Posts the request and reads the choice. Whatever goes wrong outside comes back as a failed choice, in words;
   * rejects with `throttled` when too many calls wait and with `shutting-down` when closed meanwhile.
   */
  async choose(
    url: string,
    request: JsonObject,
    eligible: readonly LinkedHub[],
    resolve: ResolveHost,
  ): Promise<AllocationChoice> {
    if (!mayPostTo(url))
      return failed('The address of the allocation webhook must be https, or http on this machine itself')
    await this.#turn()
    try {
      return choiceOf(await this.#post(url, request), eligible, resolve)
    } catch (error) {
      if (this.#closing.signal.aborted) throw new HubError('shutting-down', 'The server is stopping', { cause: error })
      if (error instanceof HubError || isNetworkFailure(error)) return failed(`Allocation webhook: ${reason(error)}`)
      throw error
    } finally {
      this.#yieldTurn()
    }
  }

  /** Aborts the calls under way; those that wait are refused. */
  close(): void {
    this.#closing.abort()
  }

  async #turn(): Promise<void> {
    if (this.#running < this.#limits.concurrency) {
      this.#running++
      return
    }
    if (this.#queue.length >= this.#limits.waiting)
      throw new HubError('throttled', 'Too many allocation webhooks are waiting', { retryAfter: 5 })
    await new Promise<void>((resolve) => this.#queue.push(resolve))
  }

  /** The place goes to whoever waits longest, so that nobody slips in between. */
  #yieldTurn(): void {
    const next = this.#queue.shift()
    if (next === undefined) this.#running--
    else next()
  }

  async #post(url: string, request: JsonObject): Promise<unknown> {
    const timeout = AbortSignal.timeout(this.#limits.timeout)
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json; charset=utf-8', accept: 'application/json' },
      body: JSON.stringify(request),
      // A redirect would let the answer choose the next address, one that nobody has checked.
      redirect: 'error',
      signal: AbortSignal.any([timeout, this.#closing.signal]),
    })
    const body = await bodyWithin(response, this.#limits.answerBytes)
    if (response.status !== 200) throw new HubError('allocation-failed', `answered with status ${response.status}`)
    try {
      return JSON.parse(body)
    } catch (cause) {
      throw new HubError('allocation-failed', 'answered with text that is not JSON', { cause })
    }
  }
}

async function bodyWithin(response: Response, limit: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > limit) throw new HubError('allocation-failed', `answered with more than ${limit} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function choiceOf(answer: unknown, eligible: readonly LinkedHub[], resolve: ResolveHost): AllocationChoice {
  if (!Answer.Check(answer))
    return failed('Allocation webhook: the answer needs iotHubHostName, and initialTwin in the shape of a twin')
  const name = resolve(answer.iotHubHostName)
  const hub = eligible.find((candidate) => candidate.hub === name)
  if (hub === undefined)
    return failed('Allocation webhook: chose a hub that is not linked or that the enrollment excludes')
  // Parsed from JSON, so every value below is one of JSON.
  const twin = answer.initialTwin as InitialTwinDraft | null | undefined
  return { kind: 'chosen', hub, initialTwin: parseInitialTwin(twin), payload: (answer.payload ?? null) as JsonValue }
}

/** What fetch rejects with when the other side, the network or the time limit fails it. */
function isNetworkFailure(error: unknown): error is Error {
  return error instanceof TypeError || (error instanceof DOMException && error.name === 'TimeoutError')
}

function reason(error: Error): string {
  if (error.name === 'TimeoutError') return 'gave no answer in time'
  const { cause } = error
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
  return error instanceof HubError ? error.message : `could not be asked (${code ?? error.message})`
}

function failed(message: string): AllocationChoice {
  return { kind: 'failed', message }
}
