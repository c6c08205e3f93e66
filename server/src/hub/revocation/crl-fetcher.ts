import { decodePem, parseCrl, ParseError } from '@holdfast/pki'
import type { Certificate, Crl } from '@holdfast/pki'
import { HubError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { HubName } from '../../model/ids.ts'
import type { StoredCrl } from '../../model/revocation.ts'
import type { Clock, Randomness } from '../../ports/clock.ts'
import type { Crls } from './crls.ts'
import { MAX_CRL_BYTES } from './crls.ts'
import { download, isDownloadable } from './download.ts'
import type { Hubs } from '../hubs.ts'
import type { Revocations } from './revocations.ts'

const TICK_MS = 5_000
const TIMEOUT_MS = 30_000
/** Downloads at the same time; each may hold MAX_CRL_BYTES. */
const CONCURRENCY = 4
/** Addresses that are asked; those that certificates name beyond that are not. */
const MAX_SOURCES = 1_000
const RETRY_MS = { first: 30_000, last: 60 * 60_000 }
/** A list is fetched again halfway to its end, within these bounds. */
const REFRESH_MS = { least: 60_000, most: 6 * 60 * 60_000 }

interface Source {
  readonly hub: HubName
  readonly url: string
  /** ms. */
  dueAt: number
  failures: number
  isRunning: boolean
}

export interface CrlFetcherParts {
  readonly revocations: Revocations
  readonly crls: Crls
  readonly hubs: Hubs
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
}

/**
 * Fetches CRLs on a schedule: from addresses that the operator gave for a CA, and, where he switched it on, from those
 * that certificates of verified paths name, which are chosen by the CA and not by a device. Nothing else is ever asked,
 * and unless it is switched on nothing leaves the server. Private addresses are no exception: a CA's server usually has one.
 */
export class CrlFetcher {
  readonly #parts: CrlFetcherParts
  readonly #sources = new Map<string, Source>()
  readonly #closing = new AbortController()
  readonly #unsubscribe: () => void
  readonly #timer: NodeJS.Timeout
  readonly #running = new Set<Promise<void>>()

  constructor(parts: CrlFetcherParts) {
    this.#parts = parts
    this.#timer = setInterval(() => this.tick(), TICK_MS).unref()
    this.#unsubscribe = parts.revocations.onRecord(({ kind }) => {
      if (kind === 'rule') this.tick()
      return 0
    })
    this.tick()
  }

  /** A verified path, leaf first: its certificates may name where their issuer's CRL is. */
  notice(hub: HubName, path: readonly Certificate[]): void {
    const facts = this.#parts.revocations.facts(hub)
    for (const [position, certificate] of path.entries()) {
      const issuer = path[position + 1]
      if (issuer === undefined || facts.ruleOf(issuer)?.fetch !== true) continue
      for (const url of distributionUrls(certificate)) this.#add(hub, url)
    }
  }

  /** Starts what is due. */
  tick(): void {
    const { clock, hubs, revocations } = this.#parts
    for (const { name } of hubs.all())
      for (const { crlUrls } of revocations.facts(name).rules()) for (const url of crlUrls) this.#add(name, url)
    const now = clock.now()
    for (const source of this.#sources.values()) {
      if (this.#running.size >= CONCURRENCY) return
      if (source.isRunning || source.dueAt > now) continue
      const work = this.#fetch(source).finally(() => this.#running.delete(work))
      this.#running.add(work)
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#unsubscribe()
    this.#closing.abort()
    await Promise.all(this.#running)
  }

  #add(hub: HubName, url: string): void {
    const key = `${hub} ${url}`
    if (this.#sources.has(key) || this.#sources.size >= MAX_SOURCES) return
    this.#sources.set(key, { hub, url, dueAt: this.#parts.clock.now(), failures: 0, isRunning: false })
  }

  /** Never rejects. */
  async #fetch(source: Source): Promise<void> {
    const { clock, crls, log } = this.#parts
    const { hub, url } = source
    source.isRunning = true
    try {
      const wanted = { maxBytes: MAX_CRL_BYTES, timeoutMs: TIMEOUT_MS, signal: this.#closing.signal }
      const answer = await download(url, wanted)
      if (typeof answer === 'string') return this.#retry(source, answer)
      const stored = await crls.import(hub, derOf(answer), url)
      // The CA itself says where the deltas to its list are (RFC 5280 §5.2.6).
      for (const delta of urlsOf(parseCrl(stored.certificate).freshest)) this.#add(hub, delta)
      source.failures = 0
      source.dueAt = clock.now() + this.#jittered(refreshAfter(stored, clock.now()))
    } catch (error) {
      if (!(error instanceof HubError || error instanceof ParseError))
        log.error({ err: error, hub, url }, 'a CRL could not be taken in')
      this.#retry(source, error instanceof Error ? error.message : String(error))
    } finally {
      source.isRunning = false
    }
  }

  #retry(source: Source, why: string): void {
    if (this.#closing.signal.aborted) return
    const wait = Math.min(RETRY_MS.first * 2 ** source.failures, RETRY_MS.last)
    source.failures += 1
    source.dueAt = this.#parts.clock.now() + this.#jittered(wait)
    this.#parts.log.warn({ hub: source.hub, url: source.url, failures: source.failures }, `no CRL: ${why}`)
  }

  /** Between half of it and all of it, so that many servers do not come at once. */
  #jittered(ms: number): number {
    return ms / 2 + (ms / 2) * (Buffer.from(this.#parts.random.bytes(4)).readUInt32BE() / 2 ** 32)
  }
}

function refreshAfter({ nextUpdate }: StoredCrl, now: number): number {
  const half = nextUpdate === null ? REFRESH_MS.most : (nextUpdate - now) / 2
  return Math.min(Math.max(half, REFRESH_MS.least), REFRESH_MS.most)
}

/** http addresses of the issuer's own lists; an indirect list of somebody else is not for fetching (RFC 5280 §4.2.1.13). */
function distributionUrls({ extensions }: Certificate): string[] {
  return urlsOf(extensions.crlDistributionPoints ?? [])
}

function urlsOf(points: Crl['freshest']): string[] {
  return points
    .flatMap(({ name, crlIssuer }) => (name?.kind === 'full' && crlIssuer === undefined ? name.names : []))
    .flatMap((name) => (name.kind === 'uri' && isDownloadable(name.value) ? [name.value] : []))
}

/** RFC 5280 §4.2.1.13 promises DER; some servers send PEM all the same. */
function derOf(bytes: Uint8Array): Uint8Array {
  if (bytes[0] === 0x30) return bytes
  const [block] = decodePem(Buffer.from(bytes).toString('latin1'), { maxLength: MAX_CRL_BYTES * 2 })
  if (block === undefined) throw new ParseError('no CRL found', 0)
  return block.der
}
