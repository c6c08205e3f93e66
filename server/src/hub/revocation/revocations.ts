import { certificateId, parseCertificate } from '@holdfast/pki'
import type { Certificate, RevocationReason } from '@holdfast/pki'
import { HubError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { DeviceId, HubName } from '../../model/ids.ts'
import type { Ground } from '../../model/ground.ts'
import { certificateGround, certificateOf, deviceGround } from '../../model/ground.ts'
import type {
  KnownAuthority,
  Revocation,
  RevocationRecord,
  RevocationRule,
  RevocationTarget,
  SequencedRecord,
} from '../../model/revocation.ts'
import { describeTarget, knownAuthorityId, targetId } from '../../model/revocation.ts'
import type { Bus } from '../../ports/bus.ts'
import type { Clock, Randomness } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import { traced } from '../../tracing.ts'
import { firstEtag, nextEtag } from '../etags.ts'
import { keyDigest, KnownAuthorities } from '../authorities/known-authorities.ts'
import type { Forgotten } from '../authorities/known-authorities.ts'
import { DEFAULT_RULE, HubRevocationFacts } from './revocation-facts.ts'

/** A lost hint is made up for after this time. */
const CATCH_UP_MS = 2_000
const PAGE = 500
/** Writers of one record that get in each other's way read it again so often. */
const ATTEMPTS = 5

export interface RevocationsParts {
  readonly registry: Pick<Registry, 'revocations'>
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  /** A test brings one with few places. */
  readonly known?: KnownAuthorities
}

export interface RevocationOrder {
  readonly reason: RevocationReason
  /** ms; absent: now. It says when the trust was lost; the effect is immediate in any case. */
  readonly revokedAt?: number
  readonly by: string
  readonly because?: string
}

/** Called with each record as it takes effect; returns how many sessions were closed for it. */
export type RecordListener = (record: SequencedRecord) => number

/**
 * What is revoked, by hub: rows of the registry held in memory and caught up by sequence, on a hint or, when that was
 * lost, by a slow timer. A change has its effect on this node before the call that made it returns.
 */
export class Revocations {
  readonly known: KnownAuthorities
  readonly #parts: RevocationsParts
  readonly #byHub = new Map<HubName, HubRevocationFacts>()
  readonly #listeners = new Set<RecordListener>()
  /** Sessions closed by the records that a caller waits for. */
  readonly #awaited = new Map<string, number>()
  /** CAs that this node has written down and not read back: it may have forgotten them since. */
  readonly #ownWrites = new Set<string>()
  #revision = 0
  #chain: Promise<void> = Promise.resolve()
  #unsubscribe: () => void = () => {}
  #timer: NodeJS.Timeout | null = null

  private constructor(parts: RevocationsParts) {
    this.#parts = parts
    this.known = parts.known ?? new KnownAuthorities()
  }

  /** Resolves when everything on record is in memory: nobody is let in before. */
  static async open(parts: RevocationsParts): Promise<Revocations> {
    const revocations = new Revocations(parts)
    await revocations.catchUp()
    revocations.#unsubscribe = parts.bus.subscribe((hint) => {
      if (hint.kind === 'revocations-changed') revocations.#catchUpLater()
    })
    revocations.#timer = setInterval(() => revocations.#catchUpLater(), CATCH_UP_MS).unref()
    return revocations
  }

  /** Grows with whatever may change a judgement. */
  get revision(): number {
    return this.#revision
  }

  facts(hub: HubName): HubRevocationFacts {
    let facts = this.#byHub.get(hub)
    if (facts === undefined) this.#byHub.set(hub, (facts = new HubRevocationFacts()))
    return facts
  }

  /** Returns the way to stop. */
  onRecord(listener: RecordListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Reads what was written since the last time; resolves when all that was on record at the call has taken effect. */
  catchUp(): Promise<void> {
    const next = this.#chain.then(() => this.#readChanges())
    this.#chain = next.catch(() => {})
    return next
  }

  /**
   * Takes the trust from the target. Told again it stays as it was first, except that a hold becomes final or comes back.
   * Resolves with the sessions of this node that were closed.
   */
  async revoke(
    hub: HubName,
    target: RevocationTarget,
    { reason, revokedAt, by, because }: RevocationOrder,
  ): Promise<{ revocation: Revocation; closed: number }> {
    const id = targetId(target)
    const time = revokedAt ?? this.#parts.clock.now()
    const fresh = { kind: 'revocation', hub, id, target, reason, revokedAt: time, by } as const
    const facts = { 'holdfast.hub': hub, 'holdfast.revocation.kind': target.kind }
    return traced('revocation.close', facts, async (span) => {
      const { record, closed } = await this.#change(hub, 'revocation', id, (current) => {
        const isFinal = current !== null && current.liftedAt === null && current.reason !== 'certificateHold'
        if (isFinal || (current?.liftedAt === null && reason === 'certificateHold')) return current
        return { ...fresh, because: because ?? null, liftedAt: null }
      })
      span.note({ 'holdfast.sessions.closed': closed })
      return { revocation: record, closed }
    })
  }

  /** Ends a hold. Rejects with `argument-invalid` for any other reason (RFC 5280 §5.3.1), `certificate-not-found`. */
  async lift(hub: HubName, id: string): Promise<Revocation> {
    const { record } = await this.#change(hub, 'revocation', id, (current) => {
      if (current === null) throw new HubError('certificate-not-found', `Hub '${hub}' has no revocation '${id}'.`)
      if (current.reason !== 'certificateHold') {
        const what = `The ${describeTarget(current.target)} was revoked for good (${current.reason}).`
        throw new HubError('argument-invalid', `${what} Only a certificateHold can be lifted.`)
      }
      return current.liftedAt === null ? { ...current, liftedAt: this.#parts.clock.now() } : current
    })
    return record
  }

  /** Sets how a hub treats the certificates that a CA issued; what is left out stays as it is. */
  async setRule(
    hub: HubName,
    authority: Certificate,
    changes: Partial<Pick<RevocationRule, 'policy' | 'crlUrls' | 'fetch' | 'ocsp'>>,
  ): Promise<RevocationRule> {
    await this.choose(hub, authority)
    const id = keyDigest(authority)
    const subject = authority.subject.toString()
    const fresh = { kind: 'rule', hub, id, subject } as const
    const { record } = await this.#change(hub, 'rule', id, (current) => ({
      ...DEFAULT_RULE,
      ...current,
      ...fresh,
      ...changes,
    }))
    return record
  }

  /** Writes any record over the version that `make` was shown, and lets it take effect. */
  async store<Kind extends 'crl'>(
    hub: HubName,
    kind: Kind,
    id: string,
    make: (current: RecordOf<Kind> | null) => Omit<RecordOf<Kind>, 'etag'>,
  ): Promise<{ record: RecordOf<Kind>; closed: number }> {
    return this.#change(hub, kind, id, make)
  }

  /**
   * Remembers the CAs of a verified path, the anchor last, at once in memory. Resolves when they are on the disk; null when
   * they are there already.
   */
  learn(hub: HubName, authorities: readonly Certificate[]): Promise<unknown> | null {
    const anchor = authorities.at(-1)
    if (anchor === undefined) return null
    const writes: Promise<void>[] = []
    if (this.known.choose(anchor)) writes.push(this.#writeDown(hub, anchor, null))
    for (const certificate of authorities.slice(0, -1)) {
      const { isNew, forgotten } = this.known.see(certificate, { hub, anchor: anchor.sha256 })
      // In the order of these calls, so that one who is forgotten and comes again is on the disk in the end.
      if (forgotten !== undefined) writes.push(this.#forget(forgotten))
      if (isNew) writes.push(this.#writeDown(hub, certificate, anchor.sha256))
    }
    return writes.length === 0 ? null : Promise.all(writes)
  }

  /** As `learn`, for a CA that an operator made a rule for or that signed a list: it is never forgotten. */
  async choose(hub: HubName, authority: Certificate): Promise<void> {
    await this.learn(hub, [authority])
  }

  async #writeDown(hub: HubName, authority: Certificate, anchor: string | null): Promise<void> {
    const { registry, random, log } = this.#parts
    const [id, etag] = [knownAuthorityId(authority.sha256, anchor), firstEtag(random)]
    const certificate = new Uint8Array(authority.der)
    const key = recordKey({ hub, kind: 'authority', id })
    this.#ownWrites.add(key)
    try {
      const outcome = await registry.revocations.create({ kind: 'authority', hub, id, etag, anchor, certificate })
      if (outcome === 'exists') this.#ownWrites.delete(key)
    } catch (error) {
      this.#ownWrites.delete(key)
      log.warn({ err: error }, 'a CA of a verified path was not written down; a restart forgets it')
    }
  }

  /** Never rejects. */
  async #forget({ certificate, hub, anchor }: Forgotten): Promise<void> {
    // Before anchors were noted the id was another.
    const id = anchor === null ? certificateId(certificate) : knownAuthorityId(certificate.sha256, anchor)
    try {
      await this.#parts.registry.revocations.forget(hub, id)
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'a CA that is forgotten was not deleted; a restart recalls it')
    }
    this.#ownWrites.delete(recordKey({ hub, kind: 'authority', id }))
  }

  /** What sessions rest on that this target takes away. The leaf of a thumbprint is not among them: see TrustWatch. */
  groundsOf(hub: HubName, target: RevocationTarget): readonly Ground[] {
    switch (target.kind) {
      case 'certificate':
        return [certificateGround(hub, target.certificateId)]
      case 'device':
        break
      case 'authority':
        return this.#groundsOfKnown(hub, (certificate) => keyDigest(certificate) === target.key)
      case 'thumbprint':
        return this.#groundsOfKnown(hub, ({ sha1, sha256 }) => [sha1, sha256].includes(target.thumbprint))
    }
    return [deviceGround(hub, target.deviceId, target.generationId)]
  }

  /** Does this ground still stand, as far as decisions about single certificates and devices go? */
  isCut(ground: Ground): boolean {
    return this.#cut.has(ground)
  }

  close(): void {
    this.#unsubscribe()
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  /** Grounds by the revocations in force; one entry for each certificate or device that a row reaches. */
  readonly #cut = new Map<Ground, Set<string>>()

  #groundsOfKnown(hub: HubName, test: (certificate: Certificate) => boolean): Ground[] {
    return [...this.known.matching(test)].map(([id]) => certificateGround(hub, id))
  }

  #catchUpLater(): void {
    this.catchUp().catch((error: unknown) => {
      this.#parts.log.error({ err: error }, 'revocations could not be read; trying again')
    })
  }

  async #readChanges(): Promise<void> {
    const { revocations } = this.#parts.registry
    const sequence = await revocations.sequence()
    if (sequence <= this.#revision) return
    for (;;) {
      const records = await revocations.changes(this.#revision, PAGE)
      for (const record of records) this.#apply(record)
      if (records.length < PAGE) break
    }
    // The record of the last write may have been a CA that is forgotten by now.
    this.#revision = Math.max(this.#revision, sequence)
  }

  #apply(record: SequencedRecord): void {
    if (record.kind === 'authority') this.#recall(record)
    else this.facts(record.hub).apply(record)
    if (record.kind === 'revocation') this.#cutGrounds(record)
    this.#revision = record.sequence
    let closed = 0
    for (const listener of this.#listeners) closed += listener(record)
    const key = recordKey(record)
    const awaited = this.#awaited.get(key)
    if (awaited !== undefined) this.#awaited.set(key, awaited + closed)
  }

  #recall({ hub, id, anchor, certificate }: KnownAuthority): void {
    if (this.#ownWrites.delete(recordKey({ hub, kind: 'authority', id }))) return
    const authority = parseCertificate(certificate)
    if (anchor === null) return void this.known.choose(authority)
    const { forgotten } = this.known.see(authority, { hub, anchor: anchor ?? null })
    if (forgotten !== undefined) void this.#forget(forgotten)
  }

  #cutGrounds({ hub, id, target, liftedAt }: Revocation): void {
    // CAs that are forgotten meanwhile are found no other way.
    if (liftedAt !== null) {
      for (const [ground, rows] of this.#cut) if (rows.delete(id) && rows.size === 0) this.#cut.delete(ground)
      return
    }
    for (const ground of this.groundsOf(hub, target)) {
      const imitated = certificateOf(ground, hub)
      // Sessions on it are judged anew as they come back: one CA of two with this id may be good.
      if (target.kind !== 'certificate' && imitated !== null && this.known.withId(imitated).length > 1) continue
      this.#cut.set(ground, (this.#cut.get(ground) ?? new Set()).add(id))
    }
  }

  async #change<Kind extends RevocationRecord['kind']>(
    hub: HubName,
    kind: Kind,
    id: string,
    make: (current: RecordOf<Kind> | null) => Omit<RecordOf<Kind>, 'etag'>,
  ): Promise<{ record: RecordOf<Kind>; closed: number }> {
    const { registry, bus, random } = this.#parts
    const key = recordKey({ hub, kind, id })
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      // The store gives back what was stored under this very kind.
      const current = (await registry.revocations.get(hub, kind, id)) as (RecordOf<Kind> & SequencedRecord) | null
      const made = make(current)
      if (made === current) return { record: current, closed: 0 }
      const etag = current === null ? firstEtag(random) : nextEtag(current.etag)
      const { sequence: _, ...fields } = { sequence: 0, ...made }
      // Every record is what `make` leaves open plus its etag; the compiler does not add the two up for a type parameter.
      const record = { ...fields, etag } as unknown as RecordOf<Kind>
      this.#awaited.set(key, this.#awaited.get(key) ?? 0)
      const outcome =
        current === null
          ? await registry.revocations.create(record)
          : await registry.revocations.replace(record, { kind: 'exactly', etag: current.etag })
      if (outcome !== 'written') continue
      await this.catchUp()
      const closed = this.#awaited.get(key) ?? 0
      this.#awaited.delete(key)
      bus.publish({ kind: 'revocations-changed' })
      return { record, closed }
    }
    this.#awaited.delete(key)
    throw new HubError('throttled', 'Others keep changing this record: try again.', { retryAfter: 1 })
  }
}

type RecordOf<Kind extends RevocationRecord['kind']> = Extract<RevocationRecord, { kind: Kind }>

function recordKey({ hub, kind, id }: Pick<RevocationRecord, 'hub' | 'kind' | 'id'>): string {
  return `${hub}/${kind}/${id}`
}

/** A device as a target: this generation of it. */
export function deviceTarget(deviceId: DeviceId, generationId: string): RevocationTarget {
  return { kind: 'device', deviceId, generationId }
}
