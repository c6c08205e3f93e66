import { certificateId, MAX_OCSP_RESPONSE_BYTES, ocspRequest, ocspUrls, readOcspResponse } from '@holdfast/pki'
import type { Certificate, OcspStatus, PathVerifier, Revocation } from '@holdfast/pki'
import type { Log } from '../../log.ts'
import type { Clock } from '../../ports/clock.ts'
import { download } from './download.ts'

/** A device waits for its CONNACK meanwhile. */
const TIMEOUT_MS = 3_000
/** An answer without a date of replacement counts so long, and one with a later date no longer than MAX_KEPT_MS. */
const DEFAULT_KEPT_MS = 5 * 60_000
const MAX_KEPT_MS = 60 * 60_000
/** A responder that failed is left alone so long. */
const FAILURE_KEPT_MS = 10_000
/** Answers that are kept; the oldest go first. */
const MAX_ANSWERS = 100_000
/** Questions under way; beyond that the policy of the CA decides without an answer. */
const MAX_QUESTIONS = 64

type Verdict = 'good' | 'none' | Revocation

interface Entry {
  readonly verdict: Verdict
  /** ms. */
  readonly until: number
}

/** Asks responders about device certificates. Each certificate is asked about once at a time, and answers are kept. */
export class OcspClient {
  readonly #parts: { readonly verifier: PathVerifier; readonly clock: Clock; readonly log: Log }
  readonly #timeoutMs: number
  readonly #answers = new Map<string, Entry>()
  readonly #questions = new Map<string, Promise<void>>()
  readonly #closing = new AbortController()

  constructor(parts: { verifier: PathVerifier; clock: Clock; log: Log }, timeoutMs = TIMEOUT_MS) {
    this.#parts = parts
    this.#timeoutMs = timeoutMs
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
    if (this.#questions.size >= MAX_QUESTIONS) return Promise.resolve()
    const asking = this.#ask(key, certificate, issuer, configured).finally(() => this.#questions.delete(key))
    this.#questions.set(key, asking)
    return asking
  }

  /** Ends the questions under way. */
  close(): void {
    this.#closing.abort()
  }

  async #ask(key: string, certificate: Certificate, issuer: Certificate, configured: string | null): Promise<void> {
    const { clock, log, verifier } = this.#parts
    const url = configured ?? ocspUrls(certificate)[0]
    let failure = 'the certificate names no responder'
    if (url !== undefined) {
      const answer = await download(url, {
        post: { type: 'application/ocsp-request', body: ocspRequest({ certificate, issuer }) },
        maxBytes: MAX_OCSP_RESPONSE_BYTES,
        timeoutMs: this.#timeoutMs,
        signal: this.#closing.signal,
      })
      const now = clock.now()
      const read =
        answer instanceof Uint8Array ? readOcspResponse(answer, { certificate, issuer }, { now, verifier }) : null
      if (read?.kind === 'answer') {
        const wanted = (read.nextUpdate ?? now + DEFAULT_KEPT_MS) - now
        return this.#keep(key, verdictOf(read.status, url), now + Math.min(wanted, MAX_KEPT_MS))
      }
      failure = read?.message ?? String(answer)
    }
    log.warn({ url, certificate: certificate.sha256, issuer: issuer.subject.toString() }, `no OCSP answer: ${failure}`)
    this.#keep(key, 'none', clock.now() + FAILURE_KEPT_MS)
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

function verdictOf(status: OcspStatus, url: string): Verdict {
  if (status.kind === 'good') return 'good'
  if (status.kind === 'unknown') return 'none'
  return { revokedAt: status.revokedAt, reason: status.reason, source: `OCSP responder ${url}` }
}

function keyOf(certificate: Certificate, { spkiKey }: Certificate): string {
  return certificateId(certificate) + spkiKey
}
