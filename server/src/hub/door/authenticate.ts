import type { HubErrorCode } from '../../errors.ts'
import type { HubRight, PolicyOwner, ProvisioningRight, Right } from '../../model/access-policy.ts'
import type { Device } from '../../model/device.ts'
import type { Ground } from '../../model/ground.ts'
import type { HubName } from '../../model/ids.ts'
import type { Peer } from '../../model/peer.ts'
import type { RefusalArea } from '../../model/refusal.ts'
import type { Registry } from '../../ports/registry.ts'
import { credentialOf } from '../findings/device-credential.ts'
import type { Clones } from '../sessions/clones.ts'
import type { Finding } from '../findings/finding.ts'
import { isFinding } from '../findings/finding.ts'
import type { Holders, Verdict } from '../holders.ts'
import type { HubDefinition } from '../hubs.ts'
import { bareHost } from '../hubs.ts'
import { findHub, judgeDevice } from './judge-device.ts'
import type { DeviceClaim, JudgementParts } from './judge-device.ts'
import type { PolicyProof, PolicyRequest } from './policy-token.ts'
import { provePolicy } from './policy-token.ts'
import type { RefusedError, Refusals } from '../refusals/refusals.ts'
import { ofPeer } from '../refusals/refusals.ts'
import type { SasResource } from './sas-token.ts'
import { coversPath, parseResource } from './sas-token.ts'
import { sightingOf } from '../sessions/sightings.ts'

export type { DeviceClaim }

/** Held by this module alone: only the door can make what it lets in. */
const seal = Symbol('authenticated')

interface DeviceFacts {
  readonly hub: HubName
  readonly device: Device
  readonly moduleId: string | null
  readonly authMethod: string
  readonly path: readonly string[]
  readonly shown: string
  readonly grounds: readonly Ground[]
  readonly expiresAt: number | null
  readonly asOf: number
  readonly modelId: string | null
  readonly witness: Peer | null
}

/** A device that proved itself, as of now: not disabled, with the credential that its identity asks for. */
class AuthenticatedDevice implements Omit<DeviceFacts, 'shown'>, Verdict {
  #credential: string | undefined
  readonly #shown: string
  readonly hub: HubName
  readonly device: Device
  readonly moduleId: string | null
  /** JSON text of the annotation iothub-connection-auth-method. */
  readonly authMethod: string
  /** `certificateId` of each certificate of the proven path, leaf first; empty for tokens. */
  readonly path: readonly string[]
  readonly grounds: readonly Ground[]
  /** ms: by the token's expiry or the earliest of the path. */
  readonly expiresAt: number | null
  readonly asOf: number
  readonly modelId: string | null
  /** Who connected, chain included; kept only for a device whose every message must prove itself too. */
  readonly witness: Peer | null

  constructor(key: typeof seal, facts: DeviceFacts) {
    if (key !== seal) throw new TypeError('an AuthenticatedDevice comes from the door alone')
    this.#shown = facts.shown
    this.hub = facts.hub
    this.device = facts.device
    this.moduleId = facts.moduleId
    this.authMethod = facts.authMethod
    this.path = facts.path
    this.grounds = facts.grounds
    this.expiresAt = facts.expiresAt
    this.asOf = facts.asOf
    this.modelId = facts.modelId
    this.witness = facts.witness
  }

  /** See credentialsOf: when it is not among those of the stored device, this proof is void. */
  get credential(): string {
    this.#credential ??= credentialOf(this.device, this.#shown)
    return this.#credential
  }
}

/** A holder of a shared access policy's key who showed a token for what it is about to do. */
class Principal implements Verdict {
  readonly #granted: SasResource
  readonly owner: PolicyOwner
  readonly policy: string
  readonly rights: ReadonlySet<Right>
  /** Decoded `sr` of the token. */
  readonly resource: string
  readonly grounds: readonly Ground[]
  /** ms. */
  readonly expiresAt: number
  readonly asOf: number

  constructor(key: typeof seal, owner: PolicyOwner, { policy, token, ground }: PolicyProof, asOf: number) {
    if (key !== seal) throw new TypeError('a Principal comes from the door alone')
    this.#granted = token.resource
    this.owner = owner
    this.policy = policy.name
    this.rights = new Set(policy.rights)
    this.resource = token.resource.text
    this.grounds = [ground]
    this.expiresAt = token.expiresAt
    this.asOf = asOf
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

export interface DoorParts extends JudgementParts {
  readonly registry: JudgementParts['registry'] & Pick<Registry, 'sightings'>
  readonly refusals: Refusals
  readonly holders: Pick<Holders, 'moment'>
  /** Told what each device proved itself with. */
  readonly clones?: Pick<Clones, 'note'>
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
    const { clock, holders, registry } = this.#parts
    const asOf = holders.moment
    const verdict = await judgeDevice(claim, peer, this.#parts)
    if (verdict.kind === 'rejection') {
      const area = peer.protocol === 'https' ? 'http' : 'connect'
      throw this.#refused({ area, hub: verdict.hub, peer, identity: identityOf(claim) }, verdict.found, verdict.code)
    }
    const { hub, device, proof, grounds, expiresAt } = verdict
    const { leaf, path } = proof
    if (leaf !== undefined) {
      registry.sightings.note(sightingOf(device, { leaf, path }, { seen: clock.now(), by: 'connect' }))
      this.#parts.clones?.note(device, leaf, peer)
    }
    const { moduleId, modelId } = claim
    const witness = device.sealed === 'verify' ? peer : null
    return new AuthenticatedDevice(seal, {
      ...proof,
      grounds,
      expiresAt,
      asOf,
      hub,
      device,
      moduleId,
      modelId,
      witness,
    })
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
    const hub = findHub(host, this.#parts.hubs)
    if (isFinding(hub)) throw this.#refused(attempt, hub, 'hub-not-found')
    return hub
  }

  async #principal(token: string | null, attempt: Attempt, request: PolicyRequest): Promise<Principal> {
    const { registry, clock, holders } = this.#parts
    const asOf = holders.moment
    const proof = await provePolicy(token, request, registry.policies, clock.now())
    if (isFinding(proof)) throw this.#refused({ ...attempt, identity: proof.evidence?.['policy'] ?? '' }, proof)
    return new Principal(seal, request.owner, proof, asOf)
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
