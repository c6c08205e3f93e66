import type { Log } from '../../log.ts'
import type { DuplicatePolicy } from '../../model/device.ts'
import type { Session } from '../../model/session.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Alarms } from '../alarms.ts'
import type { Hubs } from '../hubs.ts'
import { presenceOf } from './presence.ts'
import type { Quarantine } from './quarantine.ts'
import type { RefusedError, Refusals } from '../refusals/refusals.ts'
import { ofPeer } from '../refusals/refusals.ts'
import { TakeOvers } from './take-overs.ts'

export interface DuplicatesParts {
  readonly hubs: Hubs
  readonly refusals: Refusals
  readonly quarantine: Pick<Quarantine, 'impose'>
  readonly alarms: Alarms
  readonly clock: Clock
  readonly log: Log
}

/**
 * One identity in two places. A device whose network broke leaves a dead session behind and looks just like a clone when
 * it comes back: so nobody is accused before the older session has spoken after the newer one came.
 */
export class Duplicates {
  readonly #parts: DuplicatesParts
  readonly #takeOvers = new TakeOvers()

  constructor(parts: DuplicatesParts) {
    this.#parts = parts
  }

  /**
   * `newcomer` proved to be who `older`, still open, proved to be. Returns when it takes over.
   * @throws RefusedError when it must not.
   */
  meet(older: Session, newcomer: Session): void {
    const policy = newcomer.duplicates ?? this.#parts.hubs.get(newcomer.hub)?.duplicates ?? 'take-over'
    if (policy === 'take-over') return this.#countTakeOver(older, newcomer)
    older.probe(() => this.#bothAlive(older, newcomer, policy))
    throw this.#refuse(older, newcomer, policy)
  }

  #countTakeOver(older: Session, newcomer: Session): void {
    const { hub, deviceId, moduleId } = newcomer
    const identity = `${hub}/${deviceId}/${moduleId ?? ''}`
    const found = this.#takeOvers.count(identity, presenceOf(older), presenceOf(newcomer))
    if (found === null) return
    const { perMinute, moves, presences } = found
    const message = `Device '${deviceId}' was taken over ${perMinute} times within a minute, ${moves} times from another address.`
    this.#parts.alarms.raise({ hub, kind: 'identity-flapping', subject: deviceId, message, evidence: presences })
  }

  #bothAlive(older: Session, newcomer: Session, policy: DuplicatePolicy): void {
    const { hub, deviceId } = older
    const { alarms, quarantine, log, clock } = this.#parts
    const [one, other] = [presenceOf(older), presenceOf(newcomer)]
    const message =
      `Device '${deviceId}' connected from ${other.address} port ${other.port} while its session from ` +
      `${one.address} port ${one.port} was alive.`
    const evidence = [one, other, { ...one, time: clock.now() }]
    const alarm = alarms.raise({ hub, kind: 'identity-duplicated', subject: deviceId, message, evidence })
    if (policy !== 'quarantine') return
    quarantine.impose(hub, deviceId, alarm).catch((error: unknown) => {
      log.error({ err: error, hub, deviceId }, 'a device could not be put into quarantine')
      // Probed again by the next one that comes; until then neither may go on as if nothing had been seen.
      older.close('device-changed')
    })
  }

  #refuse(older: Session, newcomer: Session, policy: DuplicatePolicy): RefusedError {
    const { hub, deviceId, moduleId, peer } = newcomer
    const identity = moduleId === null ? deviceId : `${deviceId}/${moduleId}`
    const message =
      `Device '${deviceId}' has a session from ${older.peer.address} port ${older.peer.port}, and its policy ` +
      `'${policy}' lets no second one in.`
    const evidence = { policy, 'older session since': new Date(older.openedAt).toISOString() }
    const draft = {
      ...ofPeer(peer),
      area: 'connect',
      hub,
      identity,
      rule: 'identity-in-use',
      message,
      evidence,
    } as const
    return this.#parts.refusals.refuse(draft, 'connection-superseded')
  }
}
