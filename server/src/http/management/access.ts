import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { HubError } from '../../errors.ts'
import { ofPeer } from '../../hub/refusals.ts'
import type { Refusals } from '../../hub/refusals.ts'
import type { Clock, Randomness } from '../../ports/clock.ts'
import type { SettingStore } from '../../ports/registry.ts'
import { authorizationOf, bearerTokenOf } from '../authorization.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { RequestStep } from '../routes.ts'

const SETTING = 'management.token-sha256'
/** Lets secret scanners recognise a leaked token. */
const TOKEN_PREFIX = 'holdfast_'
const TOKEN_BYTES = 32

/** Wrong tokens that an address may show within the window before it is put off. */
const TOLERATED_FAILURES = 10
const FAILURE_WINDOW_MS = 60_000
const MAX_REMEMBERED_ADDRESSES = 1_000

/**
 * Makes a new management token, which from now on is the only one, and returns its text. Only its digest is stored, so
 * this is the one chance to keep it: it belongs into a file that nobody but the operator can read.
 */
export async function issueManagementToken(settings: SettingStore, random: Randomness): Promise<string> {
  const token = TOKEN_PREFIX + Buffer.from(random.bytes(TOKEN_BYTES)).toString('base64url')
  await settings.put(SETTING, digestOf(token).toString('hex'))
  return token
}

/** Whether a token was ever issued. */
export async function hasManagementToken(settings: SettingStore): Promise<boolean> {
  return (await settings.get(SETTING)) !== null
}

/** The door of the operator's APIs: the bearer of the management token may do everything. */
export class ManagementAccess {
  readonly #settings: SettingStore
  readonly #refusals: Refusals
  readonly #clock: Clock
  /** In order of the window's start; bounded by MAX_REMEMBERED_ADDRESSES, the oldest goes first. */
  readonly #failures = new Map<string, { since: number; count: number }>()

  constructor(deps: { settings: SettingStore; refusals: Refusals; clock: Clock }) {
    this.#settings = deps.settings
    this.#refusals = deps.refusals
    this.#clock = deps.clock
  }

  /** The step that each protected route names first; it runs before the body is read. */
  requireToken(): RequestStep {
    return (request) => this.check(request)
  }

  /** Rejects with `unauthorized`, or with `throttled` while an address tries again and again; a right token always passes. */
  async check(request: FastifyRequest): Promise<void> {
    const token = bearerTokenOf(request)
    if (token !== null && (await this.#isCurrent(token))) return
    const { address } = peerOfRequest(request)
    const wait = this.#countFailure(address)
    if (wait > 0)
      throw new HubError('throttled', 'Too many wrong management tokens from this address.', { retryAfter: wait })
    throw this.#refusals.refuse(
      {
        area: 'http',
        hub: null,
        ...ofPeer(peerOfRequest(request)),
        identity: 'management',
        rule: authorizationOf(request) === null ? 'token-missing' : 'token-signature-wrong',
        message: 'The request carries no valid management token.',
        remedy: "Send 'Authorization: Bearer <token>' with the token from the server's management token file.",
      },
      'unauthorized',
    )
  }

  /** Digests have one length whatever was sent, and comparing them takes one time. */
  async #isCurrent(token: string): Promise<boolean> {
    const stored = await this.#settings.get(SETTING)
    return stored !== null && timingSafeEqual(digestOf(token), Buffer.from(stored, 'hex'))
  }

  /** Seconds to wait, or 0 while the address is still tolerated. */
  #countFailure(address: string): number {
    const now = this.#clock.now()
    const known = this.#failures.get(address)
    if (known !== undefined && now - known.since < FAILURE_WINDOW_MS) {
      known.count++
      return known.count > TOLERATED_FAILURES ? Math.ceil((known.since + FAILURE_WINDOW_MS - now) / 1000) : 0
    }
    this.#failures.delete(address)
    this.#failures.set(address, { since: now, count: 1 })
    const [oldest] = this.#failures.keys()
    if (this.#failures.size > MAX_REMEMBERED_ADDRESSES && oldest !== undefined) this.#failures.delete(oldest)
    return 0
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest()
}
