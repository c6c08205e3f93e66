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
import type { Holder, Holders, LossReason } from '../holders.ts'
import { RecentChanges } from '../recent-changes.ts'

/** Sessions that were ended together and are written down before others get their turn. */
const BATCH = 100

export interface SessionsParts {
  readonly registry: Pick<Registry, 'devices'>
  readonly holders: Holders
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Pick<Metrics, 'connections' | 'connects'>
  /** Judges a second session of an identity; absent: it always takes over. */
  readonly duplicates?: Pick<Duplicates, 'meet'>
}

/** Told of each session that begins or ends; a session that is taken over ends before the newer one begins. */
export type SessionListener = (
  session: Session,
  change: 'connected' | 'disconnected',
  /** Why it was closed; null when the device went by itself. */
  reason: CloseReason | null,
) => void

/** A session as one who holds a verdict. */
class SessionHolder implements Holder {
  readonly session: Session
  /** As deviceKey. */
  readonly key: string
  /** The same with the module. */
  readonly identity: string
  readonly #onLost: (holder: SessionHolder, reason: LossReason) => void

  constructor(session: Session, onLost: (holder: SessionHolder, reason: LossReason) => void) {
    this.session = session
    this.key = deviceKey(session.hub, session.deviceId)
    this.identity = `${this.key}/${session.moduleId ?? ''}`
    this.#onLost = onLost
  }

  get grounds(): readonly Ground[] {
    return this.session.grounds
  }

  get expiresAt(): number | null {
    return this.session.expiresAt
  }

  get asOf(): number {
    return this.session.asOf
  }

  get leaf(): Uint8Array | undefined {
    return this.session.path.length > 0 ? this.session.peer.chain[0] : undefined
  }

  lost(reason: LossReason): void {
    this.#onLost(this, reason)
  }
}

/**
 * The live connections of this server: one for each identity. A session is closed when a newer one of its identity
 * opens, when what it rests on is lost or expires (see Holders), and when the registry no longer agrees with its device.
 * That last is looked up here by identity, and is no ground: only sessions rest on a device's credential. As many as there
 * are connections, which the listeners bound.
 */
export class Sessions {
  readonly #parts: SessionsParts
  /** By device, then by module id ('' for the device itself). */
  readonly #byDevice = new Map<string, Map<string, SessionHolder>>()
  readonly #byHub = new Map<HubName, number>()
  readonly #changes = new RecentChanges()
  readonly #listeners: SessionListener[] = []
  /** Lost, closed and not yet written down, by identity: its next session has it written down first. */
  readonly #departing = new Map<string, { readonly session: Session; readonly reason: LossReason }>()
  #writing: NodeJS.Immediate | null = null
  readonly #onLost = (holder: SessionHolder, reason: LossReason): void => this.#lost(holder, reason)
  readonly #unsubscribe: () => void

  constructor(parts: SessionsParts) {
    this.#parts = parts
    this.#unsubscribe = parts.bus.subscribe((hint) => this.#heed(hint))
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
    const holder = this.#add(session)
    this.#touch(session, session.path.length > 0 ? session.peer.chain[0] : undefined)
    this.#parts.metrics.connections.inc({ protocol: session.peer.protocol })
    this.#parts.metrics.connects.inc({ protocol: session.peer.protocol })
    this.#parts.holders.hold(holder)
    // It was authenticated a moment ago: a change that came in between found no session to close.
    this.#changes.forgetBefore(this.#parts.clock.now())
    if (this.#changes.has(deviceKey(session.hub, session.deviceId))) this.#recheck(session.hub, session.deviceId)
  }

  /** Says that the connection is gone; a session that was closed or superseded has left already. */
  end(session: Session): void {
    if (this.#remove(session)) this.#departed(session, null)
  }

  find(hub: HubName, deviceId: DeviceId, moduleId: string | null = null): Session | null {
    return this.#holderOf(hub, deviceId, moduleId)?.session ?? null
  }

  /** Of one hub, or of all. */
  count(hub?: HubName): number {
    if (hub !== undefined) return this.#byHub.get(hub) ?? 0
    return [...this.#byHub.values()].reduce((sum, count) => sum + count, 0)
  }

  /** The sessions that rest on this, as of now. */
  on(ground: Ground): readonly Session[] {
    return this.#parts.holders.on(ground).flatMap((holder) => (holder instanceof SessionHolder ? [holder.session] : []))
  }

  /** Those that rest on anything of a subject; see `subjects`. As of now. */
  under(subject: string): readonly Session[] {
    return this.#parts.holders.groundsOf(subject).flatMap((ground) => this.on(ground))
  }

  closeAll(reason: CloseReason): void {
    for (const ofDevice of this.#byDevice.values()) {
      for (const { session } of ofDevice.values()) this.#close(session, reason)
    }
  }

  /** Stops watching. Sessions stay open: see closeAll. */
  close(): void {
    this.#unsubscribe()
    this.#writeDeparted(Infinity)
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
    for (const { session } of sessions?.values() ?? []) {
      if (!credentials.includes(session.credential)) this.#close(session, 'device-changed')
    }
  }

  #close(session: Session, reason: CloseReason): void {
    if (!this.#remove(session)) return
    session.close(reason)
    this.#departed(session, reason)
  }

  /**
   * Its connection is cut here and now; that it left is written down afterwards, a few in each turn of the event loop: of
   * thousands that lose one ground the last must not wait for that, nor whoever took the trust away.
   */
  #lost(holder: SessionHolder, reason: LossReason): void {
    this.#forget(holder)
    holder.session.close(reason)
    this.#departing.set(holder.identity, { session: holder.session, reason })
    this.#writing ??= setImmediate(() => this.#writeDeparted(BATCH))
  }

  #writeDeparted(most: number): void {
    if (this.#writing !== null) clearImmediate(this.#writing)
    this.#writing = null
    let left = most
    for (const identity of this.#departing.keys()) {
      if (left-- === 0) break
      this.#writeOne(identity)
    }
    if (this.#departing.size > 0) this.#writing = setImmediate(() => this.#writeDeparted(BATCH))
  }

  #writeOne(identity: string): void {
    const gone = this.#departing.get(identity)
    if (gone === undefined) return
    this.#departing.delete(identity)
    this.#departed(gone.session, gone.reason)
  }

  /** Bookkeeping for a session that has left; `reason` is null when the device went by itself. */
  #departed(session: Session, reason: CloseReason | null): void {
    this.#parts.metrics.connections.dec({ protocol: session.peer.protocol })
    if (reason !== 'superseded') this.#touch(session)
    for (const listener of this.#listeners) listener(session, 'disconnected', reason)
  }

  #add(session: Session): SessionHolder {
    const holder = new SessionHolder(session, this.#onLost)
    const { key, identity } = holder
    // Listeners hear of the end of an identity's session before they hear of its next one.
    this.#writeOne(identity)
    const ofDevice = this.#byDevice.get(key)
    if (ofDevice === undefined) this.#byDevice.set(key, new Map([[session.moduleId ?? '', holder]]))
    else ofDevice.set(session.moduleId ?? '', holder)
    this.#byHub.set(session.hub, this.count(session.hub) + 1)
    for (const listener of this.#listeners) listener(session, 'connected', null)
    return holder
  }

  /** False when the session is not the present one of its identity. */
  #remove(session: Session): boolean {
    const holder = this.#holderOf(session.hub, session.deviceId, session.moduleId)
    if (holder?.session !== session) return false
    this.#forget(holder)
    this.#parts.holders.release(holder)
    return true
  }

  #forget({ session: { hub, moduleId }, key }: SessionHolder): void {
    const ofDevice = this.#byDevice.get(key)
    ofDevice?.delete(moduleId ?? '')
    if (ofDevice?.size === 0) this.#byDevice.delete(key)
    this.#byHub.set(hub, this.count(hub) - 1)
  }

  #holderOf(hub: HubName, deviceId: DeviceId, moduleId: string | null): SessionHolder | null {
    return this.#byDevice.get(deviceKey(hub, deviceId))?.get(moduleId ?? '') ?? null
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
