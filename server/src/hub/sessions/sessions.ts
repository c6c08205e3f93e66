import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import type { Device } from '../../model/device.ts'
import type { Ground } from '../../model/ground.ts'
import type { DeviceId, HubName } from '../../model/ids.ts'
import type { CloseReason, Session } from '../../model/session.ts'
import type { Bus, Hint } from '../../ports/bus.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import { credentialsOf } from '../findings/device-credential.ts'
import type { Duplicates } from './duplicates.ts'
import { RecentChanges } from '../recent-changes.ts'
import type { Revocations } from '../revocation/revocations.ts'
import { SessionExpiry } from './session-expiry.ts'

/** Expiry is watched in whole seconds. */
const TICK_MS = 1_000

export interface SessionsParts {
  readonly registry: Pick<Registry, 'devices'>
  readonly revocations: Pick<Revocations, 'isCut'>
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Pick<Metrics, 'connections' | 'connects'>
  /** Judges a second session of an identity; absent: it always takes over. */
  readonly duplicates?: Pick<Duplicates, 'meet'>
}

/** Told of each session that begins or ends; a session that is taken over ends before the newer one begins. */
export type SessionListener = (session: Session, change: 'connected' | 'disconnected') => void

/**
 * The live connections of this server: one for each identity. A session is closed when a newer one of its identity
 * opens, when what it rests on expires, and when the registry no longer agrees with it. As many as there are
 * connections, which the listeners bound.
 */
export class Sessions {
  readonly #parts: SessionsParts
  /** By device, then by module id ('' for the device itself). */
  readonly #byDevice = new Map<string, Map<string, Session>>()
  readonly #byGround = new Map<Ground, Set<Session>>()
  readonly #byHub = new Map<HubName, number>()
  readonly #expiry = new SessionExpiry()
  readonly #changes = new RecentChanges()
  readonly #listeners: SessionListener[] = []
  readonly #unsubscribe: () => void
  readonly #timer: NodeJS.Timeout

  constructor(parts: SessionsParts) {
    this.#parts = parts
    this.#unsubscribe = parts.bus.subscribe((hint) => this.#heed(hint))
    this.#timer = setInterval(() => this.closeExpired(), TICK_MS)
    this.#timer.unref()
  }

  /** For the life of the server. */
  onChange(listener: SessionListener): void {
    this.#listeners.push(listener)
  }

  /**
   * Takes over the identity: an older session of it is closed with 'superseded'.
   * @throws RefusedError when the identity's policy lets no second session in.
   */
  open(session: Session): void {
    const older = this.find(session.hub, session.deviceId, session.moduleId)
    if (older !== null) {
      this.#parts.duplicates?.meet(older, session)
      this.#close(older, 'superseded')
    }
    this.#add(session)
    this.#touch(session, session.path.length > 0 ? session.peer.chain[0] : undefined)
    this.#parts.metrics.connections.inc({ protocol: session.peer.protocol })
    this.#parts.metrics.connects.inc({ protocol: session.peer.protocol })
    // A revocation that took effect since it was let in found no session to close.
    if (session.grounds.some((ground) => this.#parts.revocations.isCut(ground))) return this.#close(session, 'revoked')
    // It was authenticated a moment ago: a change that came in between found no session to close.
    if (this.#changes.has(deviceKey(session.hub, session.deviceId))) this.#recheck(session.hub, session.deviceId)
  }

  /** Says that the connection is gone; a session that was closed or superseded has left already. */
  end(session: Session): void {
    if (this.#remove(session)) this.#departed(session, null)
  }

  find(hub: HubName, deviceId: DeviceId, moduleId: string | null = null): Session | null {
    return this.#byDevice.get(deviceKey(hub, deviceId))?.get(moduleId ?? '') ?? null
  }

  /** Of one hub, or of all. */
  count(hub?: HubName): number {
    if (hub !== undefined) return this.#byHub.get(hub) ?? 0
    return [...this.#byHub.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Closes every session that rests on this; returns how many. */
  closeOn(ground: Ground, reason: CloseReason): number {
    const sessions = this.on(ground).filter((session) => this.#remove(session))
    // Every connection is cut before any of it is written down: the last of thousands must not wait for that.
    for (const session of sessions) session.close(reason)
    for (const session of sessions) this.#departed(session, reason)
    return sessions.length
  }

  /** Closes this one if it is still open; whether it was. */
  closeOne(session: Session, reason: CloseReason): boolean {
    if (this.find(session.hub, session.deviceId, session.moduleId) !== session) return false
    this.#close(session, reason)
    return true
  }

  /** The sessions that rest on this, as of now. */
  on(ground: Ground): readonly Session[] {
    return [...(this.#byGround.get(ground) ?? [])]
  }

  /** Everything that some session rests on, as of now. */
  grounds(): readonly Ground[] {
    return [...this.#byGround.keys()]
  }

  /** Of one hub, as of now. */
  of(hub: HubName): readonly Session[] {
    return [...this.#byDevice.values()].flatMap((ofDevice) => [...ofDevice.values()].filter((one) => one.hub === hub))
  }

  closeAll(reason: CloseReason): void {
    for (const sessions of this.#byDevice.values()) {
      for (const session of sessions.values()) this.#close(session, reason)
    }
  }

  /** Closes what has expired by now; the timer calls it each second. */
  closeExpired(): void {
    const now = this.#parts.clock.now()
    this.#changes.forgetBefore(now)
    for (const session of this.#expiry.due(now)) this.#close(session, 'credential-expired')
  }

  /** Stops watching. Sessions stay open: see closeAll. */
  close(): void {
    clearInterval(this.#timer)
    this.#unsubscribe()
  }

  #heed(hint: Hint): void {
    if (hint.kind !== 'device-changed') return
    const key = deviceKey(hint.hub, hint.deviceId)
    this.#changes.add(key, this.#parts.clock.now())
    if (this.#byDevice.has(key)) this.#recheck(hint.hub, hint.deviceId)
  }

  /** The hint decides nothing: the registry is asked. When it cannot answer, the session must not outlive the doubt. */
  #recheck(hub: HubName, deviceId: DeviceId): void {
    this.#parts.registry.devices.get(hub, deviceId).then(
      (device) => this.#closeOutdated(hub, deviceId, device),
      (error: unknown) => {
        this.#parts.log.error({ err: error, hub, deviceId }, 'a changed device could not be read again; closing it')
        this.#closeOutdated(hub, deviceId, null)
      },
    )
  }

  #closeOutdated(hub: HubName, deviceId: DeviceId, device: Device | null): void {
    const credentials = device === null ? [] : credentialsOf(device)
    const sessions = this.#byDevice.get(deviceKey(hub, deviceId))
    for (const session of sessions?.values() ?? []) {
      if (!credentials.includes(session.credential)) this.#close(session, 'device-changed')
    }
  }

  #close(session: Session, reason: CloseReason): void {
    if (!this.#remove(session)) return
    session.close(reason)
    this.#departed(session, reason)
  }

  /** Bookkeeping for a session that has left; `reason` is null when the device went by itself. */
  #departed(session: Session, reason: CloseReason | null): void {
    this.#parts.metrics.connections.dec({ protocol: session.peer.protocol })
    if (reason !== 'superseded') this.#touch(session)
    for (const listener of this.#listeners) listener(session, 'disconnected')
  }

  #add(session: Session): void {
    const key = deviceKey(session.hub, session.deviceId)
    const ofDevice = this.#byDevice.get(key)
    if (ofDevice === undefined) this.#byDevice.set(key, new Map([[session.moduleId ?? '', session]]))
    else ofDevice.set(session.moduleId ?? '', session)
    for (const ground of session.grounds) {
      const resting = this.#byGround.get(ground)
      if (resting === undefined) this.#byGround.set(ground, new Set([session]))
      else resting.add(session)
    }
    this.#byHub.set(session.hub, this.count(session.hub) + 1)
    this.#expiry.add(session)
    for (const listener of this.#listeners) listener(session, 'connected')
  }

  /** False when the session is not the present one of its identity. */
  #remove(session: Session): boolean {
    const key = deviceKey(session.hub, session.deviceId)
    const ofDevice = this.#byDevice.get(key)
    if (ofDevice?.get(session.moduleId ?? '') !== session) return false
    ofDevice.delete(session.moduleId ?? '')
    if (ofDevice.size === 0) this.#byDevice.delete(key)
    for (const ground of session.grounds) {
      const resting = this.#byGround.get(ground)
      resting?.delete(session)
      if (resting?.size === 0) this.#byGround.delete(ground)
    }
    this.#byHub.set(session.hub, this.count(session.hub) - 1)
    this.#expiry.remove(session)
    return true
  }

  #touch({ hub, deviceId, moduleId }: Session, certificate?: Uint8Array): void {
    if (moduleId !== null) return
    const now = this.#parts.clock.now()
    this.#parts.registry.devices.touch(
      hub,
      deviceId,
      { lastActivityTime: now, connectionStateUpdatedTime: now },
      certificate,
    )
  }
}

/** No hub name and no device id contains a slash. */
function deviceKey(hub: HubName, deviceId: DeviceId): string {
  return `${hub}/${deviceId}`
}
