import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Alarm, AlarmKind } from '../model/alarm.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { AlarmFilter, Registry } from '../ports/registry.ts'

/** The same alarm is not raised again within this time: two clones that fight must not bury everything else. */
const REPEAT_MS = 10 * 60 * 1000
/** Alarms that are told from new ones. */
const MAX_REMEMBERED = 1_000
const MAX_EVIDENCE = 16

const REMEDIES = {
  'identity-duplicated':
    'Find out which of the two is the device, revoke the credential that both hold, and give the device a new one.',
  'identity-flapping':
    'Find out whether two devices hold this credential or one device reconnects without end; the policy `quarantine` stops both.',
  'key-shared':
    'A private key was copied, or a key file was built into an image: give each device a key of its own and revoke these certificates.',
  'certificate-at-two-hubs':
    'Delete the device in the hub that it has left, or give the two devices different certificates.',
  'serial-reused':
    'A CA signs no two certificates with one serial number (RFC 5280 §4.1.2.2): check who can use its key, and revoke both.',
  'webhook-disabled': 'Make the receiver answer with status 2xx, then resume with `holdfast webhook enable`.',
  'webhook-events-lost':
    'The receiver was away for longer than events are kept: read what is missing elsewhere, or keep events longer.',
} as const satisfies Record<AlarmKind, string>

export type AlarmDraft = Pick<Alarm, 'hub' | 'kind' | 'subject' | 'message' | 'evidence'>

export interface AlarmsParts {
  readonly registry: Pick<Registry, 'alarms'>
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly metrics: Pick<Metrics, 'alarms'>
}

/** What an operator must look at: told once, stored with its evidence. */
export class Alarms {
  readonly #parts: AlarmsParts
  /** By what they are about, the oldest first. */
  readonly #recent = new Map<string, Alarm>()
  readonly #listeners: ((alarm: Alarm) => void)[] = []
  #writing: Promise<void> = Promise.resolve()

  constructor(parts: AlarmsParts) {
    this.#parts = parts
  }

  /** For the life of the server. */
  onRaise(listener: (alarm: Alarm) => void): void {
    this.#listeners.push(listener)
  }

  /** The alarm, or the one of the same kind and subject that was raised a short while ago. */
  raise(draft: AlarmDraft): Alarm {
    const { clock, random, metrics, log } = this.#parts
    const now = clock.now()
    const key = `${draft.hub} ${draft.kind} ${draft.subject}`
    const earlier = this.#recent.get(key)
    if (earlier !== undefined && Math.abs(now - earlier.time) < REPEAT_MS) return earlier
    const alarm: Alarm = {
      ...draft,
      id: Buffer.from(random.bytes(16)).toString('hex'),
      time: now,
      remedy: REMEDIES[draft.kind],
      evidence: draft.evidence.toSorted((one, other) => one.time - other.time).slice(-MAX_EVIDENCE),
    }
    this.#remember(key, alarm)
    metrics.alarms.inc({ kind: alarm.kind })
    log.warn({ alarm: alarm.id, kind: alarm.kind, hub: alarm.hub, subject: alarm.subject }, alarm.message)
    this.#store(alarm)
    for (const listener of this.#listeners) listener(alarm)
    return alarm
  }

  list(filter: AlarmFilter): ReturnType<Registry['alarms']['list']> {
    return this.#parts.registry.alarms.list(filter)
  }

  get(id: string): Promise<Alarm | null> {
    return this.#parts.registry.alarms.get(id)
  }

  /** Resolves when what was raised is stored. */
  close(): Promise<void> {
    return this.#writing
  }

  /** As many wait as there are subjects in REPEAT_MS; each writes a row of a few kB. */
  #store(alarm: Alarm): void {
    this.#writing = this.#writing
      .then(() => this.#parts.registry.alarms.add(alarm))
      .catch((error: unknown) => this.#parts.log.error({ err: error, alarm: alarm.id }, 'an alarm could not be stored'))
  }

  #remember(key: string, alarm: Alarm): void {
    this.#recent.delete(key)
    if (this.#recent.size >= MAX_REMEMBERED) {
      const [oldest] = this.#recent.keys()
      if (oldest !== undefined) this.#recent.delete(oldest)
    }
    this.#recent.set(key, alarm)
  }
}
