import { parseCertificate, ParseError } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { createHash } from 'node:crypto'
import { HubError } from '../../errors.ts'
import type { HubErrorCode } from '../../errors.ts'
import type { Metrics } from '../../metrics.ts'
import { printable } from '../../model/ids.ts'
import type { Peer } from '../../model/peer.ts'
import type { CertificateSummary, Refusal, RefusalRule } from '../../model/refusal.ts'
import type { Bus } from '../../ports/bus.ts'
import type { Clock, Randomness } from '../../ports/clock.ts'
import type { RefusalFilter, Registry } from '../../ports/registry.ts'
import { sentence } from '../findings/certificate-judgement.ts'
import { adviceFor } from './refusal-guide.ts'

/** Longest chain that is summarised; the transport keeps no longer one. */
const MAX_CHAIN = 10
const MAX_NAME = 256
const MAX_TEXT = 1_000
const MAX_EVIDENCE = 16
/** A peer that repeats itself within this time adds no row: retry loops and floods leave room for others. */
const REPEAT_MS = 1_000
const MAX_REMEMBERED = 1_000
/** Rows that one address adds in a second; further refusals of it are counted and not kept. */
const MAX_ROWS_PER_ADDRESS = 100
/** Addresses that are told apart within a second. */
const MAX_ADDRESSES = 1_000

/** A refusal before it is recorded. The remedy defaults to that of the refusal guide. */
export type RefusalDraft = Omit<Refusal, 'trackingId' | 'time' | 'remedy' | 'chain' | 'evidence'> &
  Partial<Pick<Refusal, 'remedy' | 'chain' | 'evidence'>>

/**
 * The failure of an attempt that was recorded as a refusal. The message may be sent to the peer: outside of the
 * operator's own certificate-authority calls it tells no more than the tracking id.
 */
export class RefusedError extends HubError {
  readonly refusal: Refusal

  constructor(code: HubErrorCode, refusal: Refusal) {
    super(code, publicMessage(refusal), { trackingId: refusal.trackingId })
    this.refusal = refusal
  }
}

/** Keeps what was refused, with the reason, for the operator. Writing is batched and bounded by the registry. */
export class Refusals {
  readonly #registry: Pick<Registry, 'refusals'>
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #random: Randomness
  readonly #metrics: Pick<Metrics, 'refusals'>
  /** In order of time; holds at most MAX_REMEMBERED, the oldest goes first. */
  readonly #recent = new Map<string, Refusal>()
  /** Rows by address in the present second. */
  readonly #rows = new Map<string, number>()
  #second = 0
  readonly #listeners: ((refusal: Refusal) => void)[] = []

  constructor(parts: {
    registry: Pick<Registry, 'refusals'>
    bus: Bus
    clock: Clock
    random: Randomness
    metrics: Pick<Metrics, 'refusals'>
  }) {
    this.#registry = parts.registry
    this.#bus = parts.bus
    this.#clock = parts.clock
    this.#random = parts.random
    this.#metrics = parts.metrics
  }

  /** Records an attempt; one that repeats itself within a second gets the row and the tracking id of the first. */
  record(draft: RefusalDraft): Refusal {
    this.#metrics.refusals.inc({ area: draft.area, rule: draft.rule })
    const now = this.#clock.now()
    const key = repeatKey(draft)
    const earlier = this.#recent.get(key)
    if (earlier !== undefined && Math.abs(now - earlier.time) < REPEAT_MS) return earlier
    const trackingId = Buffer.from(this.#random.bytes(16)).toString('hex')
    const refusal = bounded(draft, trackingId, now)
    this.#remember(key, refusal)
    if (this.#hasRoom(draft.peer.address, now)) {
      this.#registry.refusals.add(refusal)
      for (const listener of this.#listeners) listener(refusal)
      this.#bus.publish({ kind: 'refused' })
    }
    return refusal
  }

  /** Told of each refusal that is kept, for the life of the server. */
  onRecord(listener: (refusal: Refusal) => void): void {
    this.#listeners.push(listener)
  }

  /** Records the attempt and returns the error to throw. */
  refuse(draft: RefusalDraft, code: HubErrorCode): RefusedError {
    return new RefusedError(code, this.record(draft))
  }

  list(filter: RefusalFilter): Promise<readonly (Refusal & { readonly sequence: number })[]> {
    return this.#registry.refusals.list(filter)
  }

  get(trackingId: string): Promise<Refusal | null> {
    return this.#registry.refusals.get(trackingId)
  }

  countByRule(since: number): Promise<readonly { readonly rule: RefusalRule; readonly count: number }[]> {
    return this.#registry.refusals.countByRule(since)
  }

  /** A flood from one address must not push everybody else's refusals out of the store. */
  #hasRoom(address: string, now: number): boolean {
    const second = Math.floor(now / 1_000)
    if (second !== this.#second) {
      this.#second = second
      this.#rows.clear()
    }
    const rows = this.#rows.get(address) ?? 0
    if (rows >= MAX_ROWS_PER_ADDRESS || (rows === 0 && this.#rows.size >= MAX_ADDRESSES)) return false
    this.#rows.set(address, rows + 1)
    return true
  }

  #remember(key: string, refusal: Refusal): void {
    this.#recent.delete(key)
    if (this.#recent.size >= MAX_REMEMBERED) {
      for (const oldest of this.#recent.keys()) {
        this.#recent.delete(oldest)
        break
      }
    }
    this.#recent.set(key, refusal)
  }
}

/** What a refusal says of the other side: protocol, address and the chain it showed. */
export function ofPeer(peer: Peer): Pick<Refusal, 'protocol' | 'peer' | 'chain'> {
  return {
    protocol: peer.protocol,
    peer: { address: peer.address, port: peer.port },
    chain: summarizeChain(peer.chain),
  }
}

/** One line for each certificate, readable or not; at most ten. */
export function summarizeChain(chain: readonly Uint8Array[]): CertificateSummary[] {
  return chain.slice(0, MAX_CHAIN).map(summarizeDer)
}

function summarizeDer(der: Uint8Array): CertificateSummary {
  try {
    return summarizeCertificate(parseCertificate(der))
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    const sha256 = createHash('sha256').update(der).digest('hex')
    return { subject: `(unreadable: ${error.message})`, issuer: '', serial: '', notBefore: 0, notAfter: 0, sha256 }
  }
}

/** Safe to show, whatever names the certificate has. */
export function summarizeCertificate(certificate: Certificate): CertificateSummary {
  const { subject, issuer, serialHex, notBefore, notAfter, sha256 } = certificate
  const names = { subject: printable(subject.toString(), MAX_NAME), issuer: printable(issuer.toString(), MAX_NAME) }
  return { ...names, serial: serialHex.slice(0, 80), notBefore, notAfter, sha256 }
}

function bounded(draft: RefusalDraft, trackingId: string, time: number): Refusal {
  const evidence = Object.entries(draft.evidence ?? {}).slice(0, MAX_EVIDENCE)
  return {
    trackingId,
    time,
    area: draft.area,
    hub: draft.hub,
    protocol: draft.protocol,
    peer: { address: draft.peer.address, port: draft.peer.port },
    identity: printable(draft.identity, MAX_NAME),
    rule: draft.rule,
    message: printable(sentence(draft.message), MAX_TEXT),
    remedy: printable(draft.remedy ?? adviceFor(draft.rule).remedy, MAX_TEXT),
    chain: (draft.chain ?? []).slice(0, MAX_CHAIN),
    evidence: Object.fromEntries(evidence.map(([key, value]) => [printable(key), printable(value, MAX_NAME)])),
  }
}

function repeatKey({ area, hub, peer, identity, rule, message, chain }: RefusalDraft): string {
  return JSON.stringify([area, hub, peer.address, cut(identity), rule, cut(message), chain?.[0]?.sha256])
}

function cut(text: string): string {
  return text.slice(0, MAX_NAME)
}

function publicMessage({ area, message, remedy, trackingId }: Refusal): string {
  if (area === 'certificate-authority') return `${message} ${remedy}`
  return `Refused. The operator finds the reason under tracking id ${trackingId}.`
}
