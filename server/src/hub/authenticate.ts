import type { HubErrorCode } from '../errors.ts'
import { HubError } from '../errors.ts'
import type { HubRight, PolicyOwner, ProvisioningRight, Right } from '../model/access-policy.ts'
import type { Device } from '../model/device.ts'
import { anchorGround, certificateGround, deviceGround } from '../model/ground.ts'
import type { Ground } from '../model/ground.ts'
import type { DeviceId, HubName } from '../model/ids.ts'
import { parseDeviceId, printable } from '../model/ids.ts'
import type { Peer } from '../model/peer.ts'
import type { RefusalArea } from '../model/refusal.ts'
import type { Registry } from '../ports/registry.ts'
import { credentialOf } from './device-credential.ts'
import type { Proof } from './device-credential.ts'
import type { ProofParts } from './device-proof.ts'
import { proveDevice } from './device-proof.ts'
import type { Finding } from './finding.ts'
import { finding, isFinding } from './finding.ts'
import type { HubDefinition } from './hubs.ts'
import { bareHost } from './hubs.ts'
import type { PolicyProof, PolicyRequest } from './policy-token.ts'
import { provePolicy } from './policy-token.ts'
import { judgeProvenance } from './provenance.ts'
import type { Standing } from './provenance.ts'
import type { RefusedError, Refusals } from './refusals.ts'
import { ofPeer } from './refusals.ts'
import { revokedDirectly } from './revoked.ts'
import type { SasResource } from './sas-token.ts'
import { coversPath, parseResource } from './sas-token.ts'
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

/** Held by this module alone: only the door can make what it lets in. */
const seal = Symbol('authenticated')

interface DeviceFacts {
  readonly hub: HubName
  readonly device: Device
  readonly moduleId: string | null
  readonly authMethod: string
  readonly path: readonly string[]
  readonly grounds: readonly Ground[]
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
  /** Whatever this proof rests on, so that losing it ends what was let in by it. */
  readonly grounds: readonly Ground[]
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
    this.grounds = facts.grounds
    this.expiresAt = facts.expiresAt
    this.modelId = facts.modelId
  }

  /** See credentialOf: when that of the stored device differs, this proof is void. */
  get credential(): string {
    this.#credential ??= credentialOf(this.device)
    return this.#credential
  }
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

  constructor(key: typeof seal, owner: PolicyOwner, { policy, token }: PolicyProof) {
    if (key !== seal) throw new TypeError('a Principal comes from the door alone')
    this.#granted = token.resource
    this.owner = owner
    this.policy = policy.name
    this.rights = new Set(policy.rights)
    this.resource = token.resource.text
    this.expiresAt = token.expiresAt
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

export interface DoorParts extends ProofParts {
  readonly registry: Pick<Registry, 'devices' | 'policies' | 'enrollments'>
  readonly refusals: Refusals
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
    const { token, moduleId, modelId } = claim
    const area = peer.protocol === 'https' ? 'http' : 'connect'
    const unplaced: Attempt = { area, hub: null, peer, identity: identityOf(claim) }
    const hub = this.#hubOf(claim.host, unplaced)
    const attempt = { ...unplaced, hub: hub.name }
    const deviceId = this.#deviceIdOf(claim, attempt)
    const device = await this.#identity(hub, deviceId, claim, attempt)
    const proof = await proveDevice(device, { hub, token, peer }, this.#parts)
    if (isFinding(proof)) throw this.#refused(attempt, proof)
    this.#requireEnabled(device, attempt)
    const standing = await this.#standing(device, proof)
    if (isFinding(standing)) throw this.#refused(attempt, standing)
    const { grounds } = standing
    const expiresAt = Math.min(proof.expiresAt, standing.expiresAt)
    return new AuthenticatedDevice(seal, { ...proof, grounds, expiresAt, hub: hub.name, device, moduleId, modelId })
  }

  /** `resource` is the decoded path below the host that the token must cover; absent: the whole hub. */
  async service(host: string, token: string | null, right: HubRight, peer: Peer, resource = ''): Promise<Principal> {
    const hub = this.#hubOf(host, { area: 'token', hub: null, peer, identity: '' })
    const path = pathSegments(resource)
    return this.#principal(
      token,
      { area: 'token', hub: hub.name, peer, identity: '' },
      {
        owner: { kind: 'hub', hub: hub.name },
        right,
        rules: ['iot'],
        covers: ({ host, segments }) => this.#parts.hubs.byHost(host) === hub && coversPath(segments, path, 'exact'),
        wanted: [hub.hosts[0], ...path].join('/'),
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
  async eventReader(hub: HubName, token: string, audience: string, peer: Peer): Promise<Principal> {
    const { segments: path, text: wanted } = parseResource(audience)
    return this.#principal(
      token,
      { area: 'events', hub, peer, identity: '' },
      {
        owner: { kind: 'hub', hub },
        right: 'ServiceConnect',
        // The Event Hubs client signs with the text of the key, the hub's own clients with what the text encodes.
        rules: ['event-hubs', 'iot'],
        covers: ({ host, segments }) =>
          this.#parts.hubs.byHost(host)?.name === hub && coversPath(segments, path, 'any-case'),
        wanted,
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

  /** What the proof rests on that can be taken away, and whether it has been. */
  async #standing(device: Device, { path, leaf }: Proof): Promise<Standing | Finding> {
    const { hub, deviceId, generationId } = device
    const { clock, hubs, trust } = this.#parts
    const row = trust.revocations.facts(hub).rowOfDevice(deviceId, generationId)
    if (row !== undefined) return revokedDirectly(row, `Device '${deviceId}'`)
    const standing = await judgeProvenance(
      device,
      leaf ?? null,
      { home: hubs.home.name, now: clock.now() },
      this.#parts,
    )
    if (isFinding(standing)) return standing
    const anchor = path.length > 1 ? path.at(-1) : undefined
    const grounds = new Set([
      ...path.map((id) => certificateGround(hub, id)),
      ...(anchor === undefined ? [] : [anchorGround(hub, anchor)]),
      ...standing.grounds,
      deviceGround(hub, deviceId, generationId),
    ])
    return { ...standing, grounds: [...grounds] }
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

  async #principal(token: string | null, attempt: Attempt, request: PolicyRequest): Promise<Principal> {
    const { registry, clock } = this.#parts
    const proof = await provePolicy(token, request, registry.policies, clock.now())
    if (isFinding(proof)) throw this.#refused({ ...attempt, identity: proof.evidence?.['policy'] ?? '' }, proof)
    return new Principal(seal, request.owner, proof)
  }

  #refused({ area, hub, peer, identity }: Attempt, found: Finding, code: HubErrorCode = 'unauthorized'): RefusedError {
    const { rule, message, remedy, evidence } = found
    const details = { ...(remedy && { remedy }), ...(evidence && { evidence }) }
    return this.#parts.refusals.refuse({ ...ofPeer(peer), area, hub, identity, rule, message, ...details }, code)
  }
}

function identityOf({ deviceId, moduleId }: DeviceClaim): string {
  return moduleId === null ? deviceId : `${deviceId}/${moduleId}`
}

function pathSegments(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '')
}
