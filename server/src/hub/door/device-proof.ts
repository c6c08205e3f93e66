import { certificateId } from '@holdfast/pki'
import type { Device, DeviceAuthentication } from '../../model/device.ts'
import type { DeviceId } from '../../model/ids.ts'
import type { Peer } from '../../model/peer.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import type { ParsedChain } from '../findings/certificate-judgement.ts'
import { judgeThumbprint, parseChain, pathFinding } from '../findings/certificate-judgement.ts'
import { judgeCommonName } from '../findings/common-name.ts'
import type { Proof } from '../findings/device-credential.ts'
import {
  CERTIFICATE_AUTH_METHOD,
  DEVICE_KEY_AUTH_METHOD,
  keyDigestOf,
  NOTHING_OF_ITS_OWN,
  POLICY_KEY_AUTH_METHOD,
} from '../findings/device-credential.ts'
import type { Finding } from '../findings/finding.ts'
import { finding, isFinding } from '../findings/finding.ts'
import type { HubDefinition, Hubs } from '../hubs.ts'
import { findPath } from './path-finding.ts'
import type { PathTrust } from '../revocation/path-trust.ts'
import { judgePolicyToken } from './policy-token.ts'
import type { SasResource, SasToken } from './sas-token.ts'
import { coversPath } from './sas-token.ts'
import { judgeToken, readToken } from './token-judgement.ts'
import type { TrustAnchors } from '../authorities/trust-anchors.ts'

export interface ProofParts {
  readonly hubs: Hubs
  readonly registry: Pick<Registry, 'policies'>
  readonly anchors: TrustAnchors
  readonly trust: PathTrust
  readonly clock: Clock
}

/** What a device shows: a token, or certificates, at a hub. */
export interface ShownCredential {
  readonly hub: HubDefinition
  readonly token: string | null
  readonly peer: Peer
}

type KeyAuthentication = Extract<DeviceAuthentication, { type: 'sas' }>

/** One kind of credential for each kind of identity: nothing else is tried. */
export async function proveDevice(device: Device, shown: ShownCredential, parts: ProofParts): Promise<Proof | Finding> {
  const { authentication, deviceId } = device
  if (authentication.type === 'sas') return proveByToken(deviceId, authentication, shown, parts)
  if (shown.token) return kindMismatch(authentication.type, 'a shared access signature')
  if (shown.peer.chain.length === 0)
    return finding('client-certificate-missing', `Device '${deviceId}' authenticates by certificate; none came.`)
  const chain = parseChain(shown.peer.chain)
  if (isFinding(chain)) return chain
  if (authentication.type === 'selfSigned') return proveByThumbprint(authentication, chain, shown.hub, parts)
  return proveByPath(deviceId, chain, shown.hub, parts)
}

function proveByThumbprint(
  authentication: Extract<DeviceAuthentication, { type: 'selfSigned' }>,
  { leaf }: ParsedChain,
  { name }: HubDefinition,
  { clock, trust }: ProofParts,
): Proof | Finding {
  const now = clock.now()
  const judged = judgeThumbprint(authentication, leaf, now)
  if (isFinding(judged)) return judged
  const revoked = trust.judge(name, [leaf], now)
  return revoked === undefined ? judged : pathFinding(revoked)
}

async function proveByPath(
  deviceId: DeviceId,
  chain: ParsedChain,
  hub: HubDefinition,
  parts: ProofParts,
): Promise<Proof | Finding> {
  const verdict = await findPath(chain, hub, parts)
  if (isFinding(verdict)) return verdict
  const { leaf, certificates, notAfter } = verdict
  const path = certificates.map(certificateId)
  const misnamed = judgeCommonName(leaf, deviceId)
  if (misnamed !== null) return misnamed
  const anchor = verdict.anchor.sha256
  const shown = NOTHING_OF_ITS_OWN
  return { kind: 'proof', authMethod: CERTIFICATE_AUTH_METHOD, path, leaf, anchor, shown, expiresAt: notAfter }
}

async function proveByToken(
  deviceId: DeviceId,
  authentication: KeyAuthentication,
  { hub, token: text, peer }: ShownCredential,
  parts: ProofParts,
): Promise<Proof | Finding> {
  if (!text) {
    if (peer.chain.length > 0) return kindMismatch('sas', 'a certificate and no token')
    return finding('credential-missing', `Device '${deviceId}' authenticates by key and sent no token.`)
  }
  const read = readToken(text, parts.clock.now())
  if (isFinding(read)) return read
  const { token } = read
  const judged = await judgeDeviceToken(deviceId, authentication, token, hub, parts)
  return isFinding(judged) ? judged : { ...judged, kind: 'proof', path: [], expiresAt: token.expiresAt }
}

/** Signed with the device's own keys, or with those of a policy of the hub that may connect devices. */
async function judgeDeviceToken(
  deviceId: DeviceId,
  { primaryKey, secondaryKey }: KeyAuthentication,
  token: SasToken,
  hub: HubDefinition,
  { hubs, registry }: ProofParts,
): Promise<Pick<Proof, 'authMethod' | 'shown' | 'grounds'> | Finding> {
  const path = ['devices', deviceId]
  const request = {
    rules: ['iot'] as const,
    covers: ({ host, segments }: SasResource) => hubs.byHost(host) === hub && coversPath(segments, path, 'exact'),
    wanted: [hub.hosts[0], ...path].join('/'),
  }
  if (token.policy === null) {
    const own = judgeToken(token, { keys: [primaryKey, secondaryKey], signer: `device '${deviceId}'`, ...request })
    return isFinding(own) ? own : { authMethod: DEVICE_KEY_AUTH_METHOD, shown: keyDigestOf(own.key) }
  }
  const owner = { kind: 'hub', hub: hub.name } as const
  const judged = await judgePolicyToken(
    token,
    token.policy,
    { owner, right: 'DeviceConnect', ...request },
    registry.policies,
  )
  if (isFinding(judged)) return judged
  return { authMethod: POLICY_KEY_AUTH_METHOD, shown: NOTHING_OF_ITS_OWN, grounds: [judged.ground] }
}

function kindMismatch(expected: DeviceAuthentication['type'], shown: string): Finding {
  return finding(
    'credential-kind-mismatch',
    `The identity is set up for ${EXPECTED_CREDENTIAL[expected]} (${expected}), and the device showed ${shown}.`,
  )
}

const EXPECTED_CREDENTIAL: Record<DeviceAuthentication['type'], string> = {
  sas: 'a symmetric key',
  selfSigned: 'a certificate of registered thumbprint',
  certificateAuthority: 'a certificate of a registered CA',
}
