import { certificateId } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { createHash } from 'node:crypto'
import type { Log } from '../../log.ts'
import type { AlarmKind, Presence } from '../../model/alarm.ts'
import type { CredentialUse } from '../../model/credential-use.ts'
import type { Device } from '../../model/device.ts'
import type { Peer } from '../../model/peer.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import type { Alarms } from '../alarms.ts'
import { summarizeCertificate } from '../refusals/refusals.ts'

/** How soon after a connect it is compared with the others, ms. */
const LOOK_MS = 500
/** Uses that are known to be on record, so that a device that returns costs one look into memory. */
const MAX_KNOWN = 100_000
/** Uses that may wait; one more is looked at when the device returns. */
const MAX_WAITING = 10_000
/** Uses that are looked at before others get their turn. */
const BATCH = 50

export interface ClonesParts {
  readonly registry: Pick<Registry, 'credentialUses'>
  readonly alarms: Alarms
  readonly clock: Clock
  readonly log: Log
}

interface Waiting {
  readonly device: Pick<Device, 'hub' | 'deviceId'>
  readonly leaf: Certificate
  readonly peer: Peer
  readonly seen: number
}

/**
 * Compares what devices prove themselves with: a key in the hands of two, a certificate at two hubs, a serial number
 * with two keys. A connect only leaves a note; the registry, which remembers every device, is asked afterwards.
 */
export class Clones {
  readonly #parts: ClonesParts
  readonly #known = new Set<string>()
  #waiting: Waiting[] = []
  #timer: NodeJS.Timeout | null = null
  #looking: Promise<void> = Promise.resolve()
  #closed = false

  constructor(parts: ClonesParts) {
    this.#parts = parts
  }

  /** A device proved itself with this certificate. */
  note(device: Pick<Device, 'hub' | 'deviceId'>, leaf: Certificate, peer: Peer): void {
    const key = `${device.hub}/${device.deviceId}/${leaf.sha256}`
    if (this.#closed || this.#known.has(key) || this.#waiting.length >= MAX_WAITING) return
    this.#remember(key)
    this.#waiting.push({ device, leaf, peer, seen: this.#parts.clock.now() })
    this.#timer ??= setTimeout(() => this.#look(), LOOK_MS)
  }

  /** Resolves when everything noted has been looked at. */
  close(): Promise<void> {
    this.#closed = true
    this.#look()
    return this.#looking
  }

  #look(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#looking = this.#looking
      .then(() => this.#lookAtAll())
      .catch((error: unknown) => this.#parts.log.error({ err: error }, 'credentials could not be compared'))
  }

  async #lookAtAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const uses = this.#waiting.splice(0, BATCH).map(useOf)
      const { credentialUses } = this.#parts.registry
      await credentialUses.add(uses)
      for (const use of uses) this.#judge(use, await credentialUses.related(use))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #judge(use: CredentialUse, related: readonly CredentialUse[]): void {
    const { hub, deviceId } = use
    for (const kind of ['key-shared', 'certificate-at-two-hubs', 'serial-reused'] as const) {
      const others = related.filter((other) => isEarlier(other, use) && CONFLICTS[kind](use, other))
      const [first] = others
      if (first === undefined) continue
      const message = `${MESSAGES[kind]}: '${first.deviceId}' of hub '${first.hub}' and '${deviceId}' of hub '${hub}'.`
      const evidence = [...others, use].map(presenceOf)
      this.#parts.alarms.raise({ hub, kind, subject: deviceId, message, evidence })
    }
  }

  #remember(key: string): void {
    if (this.#known.size >= MAX_KNOWN) {
      const [oldest] = this.#known
      if (oldest !== undefined) this.#known.delete(oldest)
    }
    this.#known.add(key)
  }
}

type CloneKind = Extract<AlarmKind, 'key-shared' | 'certificate-at-two-hubs' | 'serial-reused'>

/** A device that keeps its key when it renews its certificate is no clone; nor is a renewed key under a new serial. */
const CONFLICTS = {
  'key-shared': (one, other) => one.key === other.key && one.deviceId !== other.deviceId,
  'certificate-at-two-hubs': (one, other) =>
    one.certificate.sha256 === other.certificate.sha256 && one.hub !== other.hub,
  'serial-reused': (one, other) => one.serial === other.serial && one.key !== other.key,
} as const satisfies Record<CloneKind, (one: CredentialUse, other: CredentialUse) => boolean>

const MESSAGES = {
  'key-shared': 'Two devices proved themselves with one private key',
  'certificate-at-two-hubs': 'One certificate was shown at two hubs',
  'serial-reused': 'One issuer and serial number stands on certificates of two keys',
} as const satisfies Record<CloneKind, string>

/** Of two that are found in one look, one tells. */
function isEarlier(one: CredentialUse, other: CredentialUse): boolean {
  if (one.seen !== other.seen) return one.seen < other.seen
  return nameOf(one) < nameOf(other)
}

function nameOf({ hub, deviceId, certificate }: CredentialUse): string {
  return `${hub}/${deviceId}/${certificate.sha256}`
}

function useOf({ device, leaf, peer, seen }: Waiting): CredentialUse {
  return {
    hub: device.hub,
    deviceId: device.deviceId,
    certificate: summarizeCertificate(leaf),
    serial: certificateId(leaf),
    key: createHash('sha256').update(leaf.spki).digest('hex'),
    seen,
    address: peer.address,
    port: peer.port,
    protocol: peer.protocol,
  }
}

function presenceOf({ seen, hub, deviceId, address, port, protocol, certificate }: CredentialUse): Presence {
  return { time: seen, hub, deviceId, address, port, protocol, certificate }
}
