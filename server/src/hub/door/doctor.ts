import type { Certificate } from '@holdfast/pki'
import type { Device } from '../../model/device.ts'
import type { DeviceId } from '../../model/ids.ts'
import type { Peer } from '../../model/peer.ts'
import type { Registry } from '../../ports/registry.ts'
import { instant, judgeThumbprint } from '../findings/certificate-judgement.ts'
import type { ParsedChain } from '../findings/certificate-judgement.ts'
import { failed, nameStep, noted, passed, pathSteps } from '../refusals/diagnosis.ts'
import type { Step } from '../refusals/diagnosis.ts'
import { isFinding } from '../findings/finding.ts'
import type { HubDefinition } from '../hubs.ts'
import { judgeDevice, judgeEnabled, readDeviceId } from './judge-device.ts'
import type { JudgementParts, Rejection } from './judge-device.ts'
import { findPath } from './path-finding.ts'

export interface DoctorParts extends Omit<JudgementParts, 'clock'> {
  readonly registry: JudgementParts['registry'] & Pick<Registry, 'authorities'>
}

export interface HubExamination {
  readonly steps: readonly Step[]
  /** Null when the hub would let the device in. */
  readonly rejection: Rejection | null
}

/**
 * Goes through what the hub's door would do with the chain at that moment, by the door's own steps. Nothing is recorded
 * and nothing changes; the last word is the verdict of the door itself.
 */
export async function examineAtHub(
  request: {
    readonly hub: HubDefinition
    readonly deviceId: string
    readonly chain: ParsedChain
    readonly peer: Peer
    readonly at: number
  },
  parts: DoctorParts,
): Promise<HubExamination> {
  const { hub, deviceId: text, peer, at } = request
  const quiet = { ...parts, trust: parts.trust.withoutTraces(), clock: { now: () => at } }
  const deviceId = readDeviceId(text)
  const steps =
    typeof deviceId === 'string' ? await examineDevice({ ...request, deviceId }, quiet) : [failed('hub', deviceId)]
  const claim = { host: hub.hosts[0] ?? hub.name, deviceId: text, moduleId: null, token: null, modelId: null }
  const verdict = await judgeDevice(claim, peer, quiet)
  if (verdict.kind === 'admission') {
    steps.push(passed('hub', `hub '${hub.name}' lets '${text}' in, until ${instant(verdict.expiresAt)} at most`))
    return { steps, rejection: null }
  }
  const isTold = steps.some(({ verdict: each, rule }) => each === 'failed' && rule === verdict.found.rule)
  if (!isTold) steps.push(failed('hub', verdict.found))
  return { steps, rejection: verdict }
}

type DeviceRequest = {
  readonly hub: HubDefinition
  readonly deviceId: DeviceId
  readonly chain: ParsedChain
  readonly at: number
}
type QuietParts = DoctorParts & Pick<JudgementParts, 'clock'>

async function examineDevice(request: DeviceRequest, parts: QuietParts): Promise<Step[]> {
  const { hub, deviceId, chain, at } = request
  const device = await parts.registry.devices.get(hub.name, deviceId)
  const steps = [...identitySteps(device, request)]
  if (device?.authentication.type === 'selfSigned') return [...steps, thumbprintStep(device, chain, at)]
  if (device?.authentication.type === 'sas') return steps
  const verdict = await findPath(chain, hub, parts)
  const registered = await namesOf(hub, parts)
  const context = { now: at, profile: hub.profile ?? 'compatible', registered } as const
  return [...steps, ...pathSteps('hub', verdict, chain, context), nameStep('hub', chain.leaf, deviceId)]
}

function identitySteps(device: Device | null, { hub, deviceId }: DeviceRequest): Step[] {
  // The door's verdict says what is missing.
  if (device === null)
    return [noted('hub', `hub '${hub.name}' has no device '${deviceId}'; its chain is judged all the same`)]
  const kind = KINDS[device.authentication.type]
  const blocked = judgeEnabled(device)
  return [
    passed('hub', `hub '${hub.name}' has the device '${deviceId}', which is known by ${kind}`),
    blocked === null ? passed('hub', 'the device is enabled') : failed('hub', blocked),
  ]
}

const KINDS: Record<Device['authentication']['type'], string> = {
  sas: 'a symmetric key, not by a certificate',
  selfSigned: 'the thumbprint of its certificate',
  certificateAuthority: 'a certificate of a registered CA',
}

function thumbprintStep({ authentication }: Device, { leaf }: ParsedChain, at: number): Step {
  if (authentication.type !== 'selfSigned') throw new TypeError('only such an identity has thumbprints')
  const judged = judgeThumbprint(authentication, leaf, at)
  if (isFinding(judged)) return failed('hub', judged)
  const { primaryThumbprint } = authentication
  const isPrimary = [leaf.sha1, leaf.sha256].includes(primaryThumbprint?.toLowerCase() ?? '')
  return passed(
    'hub',
    `the certificate has the ${isPrimary ? 'primary' : 'secondary'} thumbprint and is valid at ${instant(Math.floor(at / 1000) * 1000)}`,
  )
}

async function namesOf(hub: HubDefinition, { registry }: DoctorParts): Promise<(anchor: Certificate) => string> {
  const registered = await registry.authorities.list(hub.name)
  const names = new Map(registered.map(({ sha256, name }) => [sha256, name]))
  return ({ sha256 }) => `the CA '${names.get(sha256) ?? sha256}', registered and verified at hub '${hub.name}'`
}
