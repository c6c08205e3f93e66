import { certificateId, VerifiedPath } from '@holdfast/pki'
import type { PathVerifier } from '@holdfast/pki'
import type { HubErrorCode } from '../errors.ts'
import { HubError } from '../errors.ts'
import type { HubRight, PolicyOwner, ProvisioningRight, Right } from '../model/access-policy.ts'
import type { Device, DeviceAuthentication } from '../model/device.ts'
import type { DeviceId, HubName } from '../model/ids.ts'
import { parseDeviceId, printable } from '../model/ids.ts'
import type { Peer } from '../model/peer.ts'
import type { RefusalArea } from '../model/refusal.ts'
import type { Clock } from '../ports/clock.ts'
import type { Registry } from '../ports/registry.ts'
import { grants } from './access-policies.ts'
import type { ParsedChain } from './certificate-judgement.ts'
import { judgeThumbprint, parseChain, pathFinding } from './certificate-judgement.ts'
import { judgeCommonName } from './common-name.ts'
import type { Proof } from './device-credential.ts'
import {
  CERTIFICATE_AUTH_METHOD,
  credentialOf,
  DEVICE_KEY_AUTH_METHOD,
  POLICY_KEY_AUTH_METHOD,
} from './device-credential.ts'
import type { Finding } from './finding.ts'
import { finding, isFinding } from './finding.ts'
import type { HubDefinition, Hubs } from './hubs.ts'
import { bareHost } from './hubs.ts'
import type { Refusals } from './refusals.ts'
import { ofPeer } from './refusals.ts'
import type { SasKeyRule, SasResource, SasToken } from './sas-token.ts'
import { coversPath, parseResource } from './sas-token.ts'
import { judgeForNobody, judgeToken, readToken } from './token-judgement.ts'
import type { TrustAnchors } from './trust-anchors.ts'

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

/** Held by this module alone: only the door can make what it lets in. */
const seal = Symbol('authenticated')

interface DeviceFacts {
  readonly hub: HubName
  readonly device: Device
  readonly moduleId: string | null
  readonly authMethod: string
  readonly path: readonly string[]
  readonly expiresAt: number | null
  readonly modelId: string | null
}

/** A device that proved itself, as of now: not disabled, with the credential that its identity asks for. */
class AuthenticatedDevice implements DeviceFacts {
  #credential: string | undefined
  readonly hub: HubName
  readonly device: Device
  readonly moduleId: string | null
  /** JSON text of the annotation iothub-connection-auth-method. */
  readonly authMethod: string
  /** `certificateId` of each certificate of the proven path, leaf first; empty for tokens. */
  readonly path: readonly string[]
  /** ms: when the proof ends, by the token's expiry or the earliest of the path. */
  readonly expiresAt: number | null
  readonly modelId: string | null

  constructor(key: typeof seal, facts: DeviceFacts) {
    if (key !== seal) throw new TypeError('an AuthenticatedDevice comes from the door alone')
    this.hub = facts.hub
    this.device = facts.device
    this.moduleId = facts.moduleId
    this.authMethod = facts.authMethod
    this.path = facts.path
    this.expiresAt = facts.expiresAt
    this.modelId = facts.modelId
  }

  /** See credentialOf: when that of the stored device differs, this proof is void. */
  get credential(): string {
    this.#credential ??= credentialOf(this.device)
    return this.#credential
  }
}

interface PrincipalFacts {
  readonly owner: PolicyOwner
  readonly policy: string
  readonly rights: ReadonlySet<Right>
  readonly granted: SasResource
  readonly expiresAt: number
}

/** A holder of a shared access policy's key who showed a token for what it is about to do. */
class Principal {
  readonly #granted: SasResource
  readonly owner: PolicyOwner
  readonly policy: string
  readonly rights: ReadonlySet<Right>
  /** Decoded `sr` of the token. */
  readonly resource: string
  /** ms. */
  readonly expiresAt: number

  constructor(key: typeof seal, facts: PrincipalFacts) {
    if (key !== seal) throw new TypeError('a Principal comes from the door alone')
    this.#granted = facts.granted
    this.owner = facts.owner
    this.policy = facts.policy
    this.rights = facts.rights
    this.resource = facts.granted.text
    this.expiresAt = facts.expiresAt
  }

  /** Does the token reach this path below the host (`hub/ConsumerGroups/…`), by whole segments? */
  covers(path: string): boolean {
    return coversPath(this.#granted.segments, pathSegments(path), 'any-case')
  }
}

export type { AuthenticatedDevice, Principal }

/** What a refusal says of the attempt, known before any judgement. */
interface Attempt {
  readonly area: RefusalArea
  readonly hub: HubName | null
  readonly peer: Peer
  readonly identity: string
}

interface PolicyRequest {
  readonly owner: PolicyOwner
  readonly right: Right
  readonly rules: readonly SasKeyRule[]
  readonly covers: (resource: SasResource) => boolean
  /** The resource that is asked for, for messages. */
  readonly wanted: string
}

export interface DoorParts {
  readonly hubs: Hubs
  readonly registry: Pick<Registry, 'devices' | 'policies'>
  readonly anchors: TrustAnchors
  readonly verifier: PathVerifier
  readonly refusals: Refusals
  readonly clock: Clock
  /** Host names of the provisioning service; localhost is always one. */
  readonly provisioningHosts: readonly string[]
}

/**
 * The one door: every device and every service principal is let in here, and no other file reads a device's status,
 * a key or a trust anchor to decide. Who is refused gets a RefusedError; the reason stays with the operator.
 */
export class Door {
  readonly #parts: DoorParts
  readonly #provisioningHosts: ReadonlySet<string>

  constructor(parts: DoorParts) {
    this.#parts = parts
    this.#provisioningHosts = new Set([...parts.provisioningHosts.map(bareHost), 'localhost', '127.0.0.1', '::1'])
  }

  async device(claim: DeviceClaim, peer: Peer): Promise<AuthenticatedDevice> {
    const area = peer.protocol === 'https' ? 'http' : 'connect'
    const hub = this.#hubOf(claim.host, { area, hub: null, peer, identity: claim.deviceId })
    const attempt: Attempt = { area, hub: hub.name, peer, identity: identityOf(claim) }
    const deviceId = this.#deviceIdOf(claim, attempt)
    const device = await this.#identity(hub, deviceId, claim, attempt)
    const proof = await this.#prove(device, claim, hub, peer)
    if (isFinding(proof)) throw this.#refused(attempt, proof)
    this.#requireEnabled(device, attempt)
    const { authMethod, path, expiresAt } = proof
    const { moduleId, modelId } = claim
    return new AuthenticatedDevice(seal, { hub: hub.name, device, moduleId, authMethod, path, expiresAt, modelId })
  }

  /** `resource` is the decoded path below the host that the token must cover; absent: the whole hub. */
  async service(host: string, token: string | null, right: HubRight, peer: Peer, resource = ''): Promise<Principal> {
    const hub = this.#hubOf(host, { area: 'token', hub: null, peer, identity: '' })
    const wanted = pathSegments(resource)
    return this.#principal(
      token,
      { area: 'token', hub: hub.name, peer, identity: '' },
      {
        owner: { kind: 'hub', hub: hub.name },
        right,
        rules: ['iot'],
        covers: ({ host, segments }) => this.#isHost(host, hub) && coversPath(segments, wanted, 'exact'),
        wanted: [hub.hosts[0], ...wanted].join('/'),
      },
    )
  }

  async provisioningService(token: string | null, right: ProvisioningRight, peer: Peer): Promise<Principal> {
    return this.#principal(
      token,
      { area: 'token', hub: null, peer, identity: '' },
      {
        owner: { kind: 'provisioning' },
        right,
        rules: ['iot'],
        covers: ({ host, segments }) => this.#provisioningHosts.has(host) && segments.length === 0,
        wanted: this.#parts.provisioningHosts[0] ?? 'localhost',
      },
    )
  }

  /** `audience` is the resource that the token is put for, `sb://host/hub/ConsumerGroups/…`, as the client wrote it. */
  async eventReader(hubName: HubName, token: string, audience: string, peer: Peer): Promise<Principal> {
    const wanted = parseResource(audience)
    const hub = this.#parts.hubs.get(hubName)
    return this.#principal(
      token,
      { area: 'events', hub: hubName, peer, identity: '' },
      {
        owner: { kind: 'hub', hub: hubName },
        right: 'ServiceConnect',
        // The Event Hubs client signs with the text of the key, the hub's own clients with what the text encodes.
        rules: ['event-hubs', 'iot'],
        covers: ({ host, segments }) =>
          hub !== null && this.#isHost(host, hub) && coversPath(segments, wanted.segments, 'any-case'),
        wanted: wanted.text,
      },
    )
  }

  #hubOf(host: string, attempt: Attempt): HubDefinition {
    const hub = this.#parts.hubs.byHost(host)
    if (hub !== null) return hub
    const names = this.#parts.hubs.all().flatMap(({ hosts }) => hosts)
    const message = `No hub of this server is called '${printable(host)}'; its names are ${names.slice(0, 8).join(', ')}.`
    throw this.#refused(attempt, finding('hub-name-unknown', message), 'hub-not-found')
  }

  #deviceIdOf(claim: DeviceClaim, attempt: Attempt): DeviceId {
    try {
      return parseDeviceId(claim.deviceId)
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      throw this.#refused(attempt, finding('device-id-invalid', `${error.message}.`), error.code)
    }
  }

  async #identity(hub: HubDefinition, deviceId: DeviceId, claim: DeviceClaim, attempt: Attempt): Promise<Device> {
    const device = await this.#parts.registry.devices.get(hub.name, deviceId)
    if (device !== null && claim.moduleId === null) return device
    judgeForNobody(claim.token, this.#parts.clock.now())
    const module = claim.moduleId === null ? '' : ` with a module '${printable(claim.moduleId)}'`
    throw this.#refused(attempt, finding('device-unknown', `Hub '${hub.name}' has no device '${deviceId}'${module}.`))
  }

  /** One kind of credential for each kind of identity: nothing else is tried. */
  async #prove(device: Device, claim: DeviceClaim, hub: HubDefinition, peer: Peer): Promise<Proof | Finding> {
    const { authentication } = device
    if (authentication.type === 'sas') return this.#proveByToken(device.deviceId, authentication, claim, hub, peer)
    if (claim.token) return kindMismatch(authentication.type, 'a shared access signature')
    if (peer.chain.length === 0)
      return finding(
        'client-certificate-missing',
        `Device '${device.deviceId}' authenticates by certificate; none came.`,
      )
    const chain = parseChain(peer.chain)
    if (isFinding(chain)) return chain
    if (authentication.type === 'selfSigned')
      return judgeThumbprint(authentication, chain.leaf, this.#parts.clock.now())
    return this.#proveByPath(device.deviceId, chain, hub)
  }

  async #proveByPath(deviceId: DeviceId, chain: ParsedChain, hub: HubDefinition): Promise<Proof | Finding> {
    const { anchors, clock, verifier } = this.#parts
    const verdict = verifier.verify({
      leaf: chain.leaf,
      intermediates: chain.intermediates,
      anchors: await anchors.forHub(hub.name),
      now: clock.now(),
      profile: hub.profile ?? 'compatible',
      purpose: 'clientAuth',
    })
    if (!(verdict instanceof VerifiedPath)) {
      const known = NO_ANCHOR.has(verdict.rule) ? await anchors.explain(hub.name, chain) : null
      return known ?? pathFinding(verdict)
    }
    const path = verdict.certificates.map(certificateId)
    const proof = { kind: 'proof', authMethod: CERTIFICATE_AUTH_METHOD, path, expiresAt: verdict.notAfter } as const
    return judgeCommonName(verdict.leaf, deviceId) ?? proof
  }

  async #proveByToken(
    deviceId: DeviceId,
    authentication: Extract<DeviceAuthentication, { type: 'sas' }>,
    claim: DeviceClaim,
    hub: HubDefinition,
    peer: Peer,
  ): Promise<Proof | Finding> {
    if (!claim.token) {
      if (peer.chain.length > 0) return kindMismatch('sas', 'a certificate and no token')
      return finding('credential-missing', `Device '${deviceId}' authenticates by key and sent no token.`)
    }
    const read = readToken(claim.token, this.#parts.clock.now())
    if (isFinding(read)) return read
    const { token } = read
    const wanted = ['devices', deviceId]
    const covers = ({ host, segments }: SasResource) => this.#isHost(host, hub) && coversPath(segments, wanted, 'exact')
    const resource = { covers, wanted: [hub.hosts[0], ...wanted].join('/') }
    if (token.policy !== null) {
      const owner: PolicyOwner = { kind: 'hub', hub: hub.name }
      const policy = await this.#judgePolicyToken(token, token.policy, {
        owner,
        right: 'DeviceConnect',
        rules: ['iot'],
        ...resource,
      })
      if (isFinding(policy)) return policy
      return { kind: 'proof', authMethod: POLICY_KEY_AUTH_METHOD, path: [], expiresAt: token.expiresAt }
    }
    const keys = [authentication.primaryKey, authentication.secondaryKey]
    const wrong = judgeToken(token, { keys, rules: ['iot'], signer: `device '${deviceId}'`, ...resource })
    return wrong ?? { kind: 'proof', authMethod: DEVICE_KEY_AUTH_METHOD, path: [], expiresAt: token.expiresAt }
  }

  #requireEnabled({ deviceId, status, statusReason }: Device, attempt: Attempt): void {
    if (status === 'enabled') return
    const reason = statusReason ? `: ${printable(statusReason, 128)}` : ''
    throw this.#refused(
      attempt,
      finding('device-disabled', `Device '${deviceId}' is disabled${reason}.`),
      'device-disabled',
    )
  }

  async #principal(text: string | null, attempt: Attempt, request: PolicyRequest): Promise<Principal> {
    if (!text) throw this.#refused(attempt, finding('token-missing', `Access to ${request.wanted} needs a token.`))
    const read = readToken(text, this.#parts.clock.now())
    if (isFinding(read)) throw this.#refused(attempt, read)
    const { token } = read
    const named = { ...attempt, identity: token.policy ?? '' }
    if (token.policy === null) {
      throw this.#refused(named, finding('token-policy-unknown', 'The token names no shared access policy (skn).'))
    }
    const rights = await this.#judgePolicyToken(token, token.policy, request)
    if (isFinding(rights)) throw this.#refused(named, rights)
    const { owner } = request
    const facts = {
      owner,
      policy: token.policy,
      rights: rights.rights,
      granted: token.resource,
      expiresAt: token.expiresAt,
    }
    return new Principal(seal, facts)
  }

  async #judgePolicyToken(
    token: SasToken,
    name: string,
    { owner, right, ...request }: PolicyRequest,
  ): Promise<{ readonly kind: 'policy'; readonly rights: ReadonlySet<Right> } | Finding> {
    const policy = await this.#parts.registry.policies.get(owner, name)
    if (policy === null)
      return finding('token-policy-unknown', `There is no shared access policy '${printable(name)}'.`)
    const keys = [policy.primaryKey, policy.secondaryKey]
    const wrong = judgeToken(token, { keys, signer: `policy '${name}'`, ...request })
    if (wrong !== null) return wrong
    if (!grants(policy.rights, right))
      return finding(
        'token-right-missing',
        `Policy '${name}' lacks the right ${right}; it has ${policy.rights.join(', ')}.`,
      )
    return { kind: 'policy', rights: new Set(policy.rights) }
  }

  #isHost(host: string, hub: HubDefinition): boolean {
    return this.#parts.hubs.byHost(host) === hub
  }

  #refused({ area, hub, peer, identity }: Attempt, found: Finding, code: HubErrorCode = 'unauthorized') {
    const { rule, message, remedy, evidence } = found
    const details = { ...(remedy && { remedy }), ...(evidence && { evidence }) }
    return this.#parts.refusals.refuse({ ...ofPeer(peer), area, hub, identity, rule, message, ...details }, code)
  }
}

/** Path rules by which the chain reached no anchor at all: then the registers may know why. */
const NO_ANCHOR: ReadonlySet<string> = new Set(['issuer-not-found', 'untrusted-root', 'anchor-key-mismatch'])

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

function identityOf({ deviceId, moduleId }: DeviceClaim): string {
  return moduleId === null ? deviceId : `${deviceId}/${moduleId}`
}

function pathSegments(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '')
}
