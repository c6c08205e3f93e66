import { MAX_OCSP_RESPONSE_BYTES, ocspRequest, ocspUrls, readOcspResponse } from '@holdfast/pki'
import type { Certificate, OcspStatus, PathVerifier, Revocation } from '@holdfast/pki'
import type { Log } from '../../log.ts'
import type { Metrics, OcspOutcome } from '../../metrics.ts'
import type { Clock } from '../../ports/clock.ts'
import { download } from './download.ts'
import { Turns } from './turns.ts'

/** An answer without a date of replacement counts so long, and one with a later date no longer than MAX_KEPT_MS. */
const DEFAULT_KEPT_MS = 5 * 60_000
const MAX_KEPT_MS = 60 * 60_000
/** A responder that failed is left alone so long. */
const FAILURE_KEPT_MS = 10_000
/** Answers that are kept; the oldest go first. */
const MAX_ANSWERS = 100_000
/** Of the time for an answer, so much may pass in waiting for a turn. */
const PATIENCE = 0.75
/** Questions about certificates of one CA that wait for their turn; beyond that its policy decides without an answer. */
const MAX_WAITING = 10_000

type Verdict = 'good' | 'none' | Revocation

interface Entry {
  readonly verdict: Verdict
  /** ms. */
  readonly until: number
}

export interface OcspLimits {
  /** For an answer, with the wait for a turn: a device waits for its CONNACK meanwhile. */
  readonly timeoutMs: number
  /** Questions about certificates of one CA that are under way. */
  readonly atOnce: number
}

export interface OcspClientParts {
  readonly verifier: PathVerifier
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Pick<Metrics, 'ocspQuestions'>
}

/**
 * Asks responders about device certificates. Each certificate is asked about once at a time, and answers are kept. Every
 * CA has turns of its own, so that a slow responder keeps nobody else's devices waiting; there are as many CAs as an
 * operator switched it on for.
 */
export class OcspClient {
  readonly #parts: OcspClientParts
  readonly #limits: OcspLimits
  /** By the CA's key. */
  readonly #turns = new Map<string, Turns>()
  readonly #answers = new Map<string, Entry>()
  readonly #questions = new Map<string, Promise<void>>()
  readonly #closing = new AbortController()

  constructor(parts: OcspClientParts, limits: OcspLimits) {
    this.#parts = parts
    this.#limits = limits
  }

  /** Is there an answer, or a failure that is too young to try again? */
  isFresh(certificate: Certificate, issuer: Certificate, now: number): boolean {
    return this.#entry(certificate, issuer, now) !== undefined
  }

  answerOf(certificate: Certificate, issuer: Certificate, now: number): Revocation | 'good' | undefined {
    const verdict = this.#entry(certificate, issuer, now)?.verdict
    return verdict === 'none' ? undefined : verdict
  }

  /** Resolves when there is an answer or it is clear that none comes in time; never rejects. */
  ask(certificate: Certificate, issuer: Certificate, configured: string | null): Promise<void> {
    const key = keyOf(certificate, issuer)
    const running = this.#questions.get(key)
    if (running !== undefined) return running
    const url = configured ?? ocspUrls(certificate)[0]
    const asking = this.#askInTurn({ key, certificate, issuer, url }).finally(() => this.#questions.delete(key))
    this.#questions.set(key, asking)
    return asking
  }

  /** Ends the questions under way. */
  close(): void {
    this.#closing.abort()
  }

  async #askInTurn(question: Question): Promise<void> {
    const { log, metrics } = this.#parts
    const { timeoutMs, atOnce } = this.#limits
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#closing.signal])
    // Whoever gets a turn has some of the time left to ask in.
    const patience = AbortSignal.any([AbortSignal.timeout(timeoutMs * PATIENCE), this.#closing.signal])
    const { spkiKey } = question.issuer
    const turns = this.#turns.get(spkiKey) ?? new Turns({ atOnce, waiting: MAX_WAITING })
    this.#turns.set(spkiKey, turns)
    const turn = await turns.begin(patience)
    if (turn !== 'begun') {
      // Not the responder's failure, so that nothing is remembered: whoever comes again is asked about again.
      const outcome = turn === 'full' ? 'too-many' : 'no-turn-in-time'
      metrics.ocspQuestions.inc({ outcome })
      return log.warn({ ...labelOf(question), outcome }, 'a certificate was not asked about: the responder is too slow')
    }
    try {
      metrics.ocspQuestions.inc({ outcome: await this.#ask(question, signal) })
    } finally {
      turns.end()
      if (turns.isIdle) this.#turns.delete(spkiKey)
    }
  }

  async #ask({ key, certificate, issuer, url }: Question, signal: AbortSignal): Promise<OcspOutcome> {
    const { clock, log, verifier } = this.#parts
    let failure = 'the certificate names no responder'
    if (url !== undefined) {
      const answer = await download(url, {
        post: { type: 'application/ocsp-request', body: ocspRequest({ certificate, issuer }) },
        maxBytes: MAX_OCSP_RESPONSE_BYTES,
        timeoutMs: this.#limits.timeoutMs,
        signal,
      })
      const now = clock.now()
      const read =
        answer instanceof Uint8Array ? readOcspResponse(answer, { certificate, issuer }, { now, verifier }) : null
      if (read?.kind === 'answer') {
        const wanted = (read.nextUpdate ?? now + DEFAULT_KEPT_MS) - now
        this.#keep(key, verdictOf(read.status, url), now + Math.min(wanted, MAX_KEPT_MS))
        return read.status.kind
      }
      failure = read?.message ?? String(answer)
    }
    log.warn(labelOf({ certificate, issuer, url }), `no OCSP answer: ${failure}`)
    this.#keep(key, 'none', clock.now() + FAILURE_KEPT_MS)
    return url === undefined ? 'no-responder' : 'failed'
  }

  #keep(key: string, verdict: Verdict, until: number): void {
    this.#answers.delete(key)
    const [oldest] = this.#answers.keys()
    if (this.#answers.size >= MAX_ANSWERS && oldest !== undefined) this.#answers.delete(oldest)
    this.#answers.set(key, { verdict, until })
  }

  #entry(certificate: Certificate, issuer: Certificate, now: number): Entry | undefined {
    if (this.#answers.size === 0) return undefined
    const entry = this.#answers.get(keyOf(certificate, issuer))
    return entry !== undefined && now < entry.until ? entry : undefined
  }
}

interface Question {
  readonly key: string
  readonly certificate: Certificate
  readonly issuer: Certificate
  readonly url: string | undefined
}

function labelOf({ certificate, issuer, url }: Omit<Question, 'key'>): Record<string, string | undefined> {
  return { url, certificate: certificate.sha256, issuer: issuer.subject.toString() }
}

function verdictOf(status: OcspStatus, url: string): Verdict {
  if (status.kind === 'good') return 'good'
  if (status.kind === 'unknown') return 'none'
  return { revokedAt: status.revokedAt, reason: status.reason, source: `OCSP responder ${url}` }
}

/** By its bytes: another certificate of this issuer and serial may name another responder. */
function keyOf({ sha256 }: Certificate, { spkiKey }: Certificate): string {
  return sha256 + spkiKey
}
