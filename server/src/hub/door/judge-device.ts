import { HubError } from '../../errors.ts'
import type { HubErrorCode } from '../../errors.ts'
import type { Device } from '../../model/device.ts'
import { anchorGround, certificateGround, deviceGround } from '../../model/ground.ts'
import type { Ground } from '../../model/ground.ts'
import { parseDeviceId, printable } from '../../model/ids.ts'
import type { DeviceId, HubName } from '../../model/ids.ts'
import type { Peer } from '../../model/peer.ts'
import type { Registry } from '../../ports/registry.ts'
import type { Proof } from '../findings/device-credential.ts'
import { proveDevice } from './device-proof.ts'
import type { ProofParts } from './device-proof.ts'
import { finding, isFinding } from '../findings/finding.ts'
import type { Finding } from '../findings/finding.ts'
import type { HubDefinition, Hubs } from '../hubs.ts'
import { judgeProvenance } from './provenance.ts'
import type { Standing } from './provenance.ts'
import { revokedDirectly } from './revoked.ts'
import { judgeForNobody } from './token-judgement.ts'

/** Who a device says it is, and its token if it has one; its certificates come with the peer. */
export interface DeviceClaim {
  /** Host of the hub as the client named it: user name, Host header or the open frame's hostname. */
  readonly host: string
  readonly deviceId: string
  readonly moduleId: string | null
  /** Shared access signature; null or empty to be known by certificate. */
  readonly token: string | null
  readonly modelId: string | null
}

export interface JudgementParts extends ProofParts {
  readonly registry: Pick<Registry, 'devices' | 'policies' | 'enrollments' | 'authorities'>
}

export interface Admission {
  readonly kind: 'admission'
  readonly hub: HubName
  readonly device: Device
  readonly proof: Proof
  readonly grounds: readonly Ground[]
  /** ms: when the proof ends, by the token's expiry or the earliest of the path. */
  readonly expiresAt: number
}

export interface Rejection {
  readonly kind: 'rejection'
  /** Null when no hub is meant. */
  readonly hub: HubName | null
  readonly found: Finding
  readonly code: HubErrorCode
}

/**
 * The verdict of the door about a device, reading alone: nothing is recorded and nobody is let in. Its steps are in the
 * order in which a wrong credential learns least.
 */
export async function judgeDevice(
  claim: DeviceClaim,
  peer: Peer,
  parts: JudgementParts,
): Promise<Admission | Rejection> {
  const hub = findHub(claim.host, parts.hubs)
  if (isFinding(hub)) return { kind: 'rejection', hub: null, found: hub, code: 'hub-not-found' }
  const reject = (found: Finding, code: HubErrorCode = 'unauthorized'): Rejection => {
    return { kind: 'rejection', hub: hub.name, found, code }
  }
  const deviceId = readDeviceId(claim.deviceId)
  if (typeof deviceId !== 'string') return reject(deviceId, 'argument-invalid')
  const device = await findDevice(hub, deviceId, claim, parts)
  if (isFinding(device)) return reject(device)
  const proof = await proveDevice(device, { hub, token: claim.token, peer }, parts)
  if (isFinding(proof)) return reject(proof)
  const blocked = judgeEnabled(device)
  if (blocked !== null) return reject(blocked, 'device-disabled')
  const standing = await judgeStanding(device, proof, parts)
  if (isFinding(standing)) return reject(standing)
  const expiresAt = Math.min(proof.expiresAt, standing.expiresAt)
  return { kind: 'admission', hub: hub.name, device, proof, grounds: standing.grounds, expiresAt }
}

export function findHub(host: string, hubs: Hubs): HubDefinition | Finding {
  const hub = hubs.byHost(host)
  if (hub !== null) return hub
  const names = hubs.all().flatMap(({ hosts }) => hosts)
  return finding(
    'hub-name-unknown',
    `No hub of this server is called '${printable(host)}'; its names are ${names.slice(0, 8).join(', ')}.`,
    { evidence: { claimed: printable(host), names: names.slice(0, 8).join(', ') } },
  )
}

export function readDeviceId(text: string): DeviceId | Finding {
  try {
    return parseDeviceId(text)
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    return finding('device-id-invalid', `${error.message}.`)
  }
}

async function findDevice(
  hub: HubDefinition,
  deviceId: DeviceId,
  claim: DeviceClaim,
  { registry, clock }: JudgementParts,
): Promise<Device | Finding> {
  const device = await registry.devices.get(hub.name, deviceId)
  if (device !== null && claim.moduleId === null) return device
  judgeForNobody(claim.token, clock.now())
  const module = claim.moduleId === null ? '' : ` with a module '${printable(claim.moduleId)}'`
  return finding('device-unknown', `Hub '${hub.name}' has no device '${deviceId}'${module}.`)
}

/** Null when the device may connect at all. */
export function judgeEnabled({ deviceId, status, statusReason, quarantine }: Device): Finding | null {
  if (quarantine !== undefined) {
    const since = new Date(quarantine.since).toISOString()
    const message = `Device '${deviceId}' is in quarantine since ${since}: two holders of it were connected at once.`
    return finding('device-quarantined', message, { evidence: { alarm: quarantine.alarmId } })
  }
  if (status === 'enabled') return null
  const reason = statusReason ? `: ${printable(statusReason, 128)}` : ''
  return finding('device-disabled', `Device '${deviceId}' is disabled${reason}.`)
}

/** What the proof rests on that can be taken away, and whether it has been. */
async function judgeStanding(device: Device, proof: Proof, parts: JudgementParts): Promise<Standing | Finding> {
  const { hub, deviceId, generationId } = device
  const { clock, hubs, trust } = parts
  const row = trust.revocations.facts(hub).rowOfDevice(deviceId, generationId)
  if (row !== undefined) return revokedDirectly(row, `Device '${deviceId}'`)
  const standing = await judgeProvenance(device, proof, { home: hubs.home.name, now: clock.now() }, parts)
  if (isFinding(standing)) return standing
  const grounds = new Set([
    ...proof.path.map((id) => certificateGround(hub, id)),
    ...(proof.anchor === undefined ? [] : [anchorGround(hub, proof.anchor)]),
    ...(proof.grounds ?? []),
    ...standing.grounds,
    deviceGround(hub, deviceId, generationId),
  ])
  return { ...standing, grounds: [...grounds] }
}
