import { signCheckpoint, signSuccession } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { CLOCK_WENT_BACK, placed } from './entry.ts'
import type { Actor, AuditEntry, AuditRecord } from './entry.ts'
import type { SigningKey } from './signing-key.ts'

const SERVER: Actor = { name: 'server', role: null, method: 'server' }
/** No more entries than these follow a checkpoint without the next one, so that a missing checkpoint shows. */
export const CHECKPOINT_EVERY = 100
/** Smaller steps back are those of a clock that is being adjusted, and are written as no step. */
const TOLERATED_STEP_BACK_MS = 1_000

export interface ChainEnd {
  readonly sequence: number
  readonly hash: string
  /** ISO 8601, or null when there is no entry. */
  readonly time: string | null
  readonly unsigned: number
}

/** Entries that go on from an end of the log; nothing is written here, so that a batch that fails leaves no trace. */
export class Chain {
  readonly lines: string[] = []
  #end: ChainEnd
  #key: SigningKey
  readonly #now: number

  constructor(end: ChainEnd, key: SigningKey, now: number) {
    this.#end = end
    this.#key = key
    this.#now = now
  }

  get end(): ChainEnd {
    return this.#end
  }

  get key(): SigningKey {
    return this.#key
  }

  add(record: AuditRecord): AuditEntry {
    const before = this.#end.time === null ? this.#now : Date.parse(this.#end.time)
    if (before - this.#now > TOLERATED_STEP_BACK_MS)
      this.#append(
        { ...ownRecord('event', CLOCK_WENT_BACK), detail: { from: iso(before), to: iso(this.#now) } },
        iso(this.#now),
      )
    return this.#appendSigned(record)
  }

  checkpoint(): Checkpoint {
    const time = this.#time()
    const checkpoint = signCheckpoint(
      { sequence: this.#end.sequence, hash: this.#end.hash, time },
      this.#key.privateKey,
    )
    this.#append({ ...ownRecord('checkpoint', 'checkpoint'), detail: { ...checkpoint, keyId: this.#key.id } }, time)
    this.#end = { ...this.#end, unsigned: 0 }
    return checkpoint
  }

  /** From here on `next` signs. Both keys sign for that, so that each of them vouches for what came before. */
  succeed(next: SigningKey, record: Pick<AuditRecord, 'who' | 'from' | 'trackingId'>): AuditEntry {
    const covered = { sequence: this.#end.sequence, hash: this.#end.hash, time: this.#time() }
    const detail = {
      keyId: next.id,
      publicKey: next.publicKey,
      covered,
      signedByOld: signSuccession(covered, next.publicKey, this.#key.privateKey),
      signedByNew: signSuccession(covered, next.publicKey, next.privateKey),
    }
    const entry = this.#append({ ...record, kind: 'key', act: 'audit.rotate-key', detail }, covered.time)
    this.#key = next
    return entry
  }

  /** The first entry of a log names the key that its reader must know. */
  begin(): void {
    this.#append(
      {
        ...ownRecord('key', 'audit.began'),
        detail: { keyId: this.#key.id, publicKey: this.#key.publicKey },
      },
      this.#time(),
    )
  }

  #appendSigned(record: AuditRecord): AuditEntry {
    if (this.#end.unsigned >= CHECKPOINT_EVERY - 2) this.checkpoint()
    return this.#append(record, this.#time())
  }

  #append(record: AuditRecord, time: string): AuditEntry {
    const { sequence, hash, unsigned } = this.#end
    const { entry, line } = placed(record, { sequence: sequence + 1, time, previous: hash })
    this.lines.push(line)
    this.#end = { sequence: entry.sequence, hash: entry.hash, time, unsigned: unsigned + 1 }
    return entry
  }

  #time(): string {
    const before = this.#end.time === null ? this.#now : Date.parse(this.#end.time)
    return iso(before - this.#now > TOLERATED_STEP_BACK_MS ? this.#now : Math.max(before, this.#now))
  }
}

export function ownRecord(kind: AuditRecord['kind'], act: string): AuditRecord {
  return { kind, act, who: SERVER, from: null, trackingId: null }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
