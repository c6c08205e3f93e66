import { certificateId, parseCertificate } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { HubError } from '../../errors.ts'
import type { CertificateAuthority } from '../../model/certificate-authority.ts'
import { printable } from '../../model/ids.ts'
import type { DeviceId, HubName } from '../../model/ids.ts'
import type { PathUse, Sighting } from '../../model/sighting.ts'
import type { Registry } from '../../ports/registry.ts'
import type { Hubs } from '../hubs.ts'
import { keyDigest } from './known-authorities.ts'
import type { KnownAuthorities } from './known-authorities.ts'

export interface AuthorityUsageParts {
  readonly registry: Pick<Registry, 'authorities' | 'sightings'>
  readonly hubs: Hubs
  /** Certificates of the CAs of paths that were verified. */
  readonly known: Pick<KnownAuthorities, 'get'>
}

/** One CA, registered or seen between a device and a registered one, and who rests on it. */
export interface AuthorityUse {
  /** `registered` at this hub; `intermediate`: it came with a device's chain. */
  readonly kind: 'registered' | 'intermediate'
  /** Of its registration; null for an intermediate. */
  readonly name: string | null
  readonly isVerified: boolean
  readonly subject: string
  /** Null for a CA of which nothing but its id is known. */
  readonly sha256: string | null
  /** ms; null as `sha256`. */
  readonly notAfter: number | null
  /** `certificateId`s: a CA that was renewed with its key has several. */
  readonly ids: readonly string[]
  readonly devices: number
  /** ms; null when nobody was ever seen with it. */
  readonly lastSeen: number | null
}

/** A device and how its path went, as an operator asks for it. */
export interface AuthorityUser extends Sighting {
  readonly authoritySubjects: readonly string[]
}

interface HubPath extends PathUse {
  readonly hub: HubName
}

/**
 * Which devices rest on which CA: the register of a hub beside the sightings of its devices. The register of the home
 * hub also vouches for what the provisioning service put into other hubs.
 */
export class AuthorityUsage {
  readonly #parts: AuthorityUsageParts

  constructor(parts: AuthorityUsageParts) {
    this.#parts = parts
  }

  /** Registered CAs first, in the order of their names, then the intermediates, the most used first. */
  async list(hub: HubName): Promise<readonly AuthorityUse[]> {
    const registered = await this.#parts.registry.authorities.list(hub)
    const paths = byAuthority(await this.#pathsUnder(hub, registered))
    const seen = this.#byKey(paths.keys())
    const rows = registered.map((authority) => registeredUse(authority, seen, paths))
    const claimed = new Set(rows.flatMap((row) => row.ids))
    const others = [...seen.values()].filter(([id = '']) => !claimed.has(id))
    const intermediates = others.map((ids) => this.#intermediate(ids, paths))
    return [...rows, ...intermediates.toSorted((a, b) => b.devices - a.devices || compare(a.subject, b.subject))]
  }

  /**
   * Devices that were seen last with this CA: the name of a registration, a SHA-256 or part of a subject that only one
   * CA has. A page may be longer by the same id at other hubs. Rejects with `certificate-not-found`.
   */
  async devices(
    hub: HubName,
    wanted: string,
    page: { after: DeviceId | null; limit: number },
  ): Promise<{ readonly authority: AuthorityUse; readonly devices: readonly AuthorityUser[] }> {
    const authority = choose(await this.list(hub), wanted, hub)
    const paths = await this.#pathsUnder(hub, await this.#parts.registry.authorities.list(hub))
    const used = paths.filter(
      ({ authorities, devices }) => devices > 0 && authorities.some((id) => authority.ids.includes(id)),
    )
    const devices: AuthorityUser[] = []
    for (const each of new Set(used.map((path) => path.hub))) {
      const chains = used.filter((path) => path.hub === each).map(({ authorities }) => authorities)
      const found = await this.#parts.registry.sightings.listByPaths(each, chains, page)
      devices.push(
        ...found.map((one) => ({ ...one, authoritySubjects: one.authorities.map((id) => this.#nameOf(id)) })),
      )
    }
    const sorted = devices.toSorted((a, b) => compare(a.deviceId, b.deviceId))
    // A page ends with an id, so that the same id at another hub is not lost between two pages.
    const last = sorted[page.limit - 1]
    return { authority, devices: sorted.filter(({ deviceId }) => last === undefined || deviceId <= last.deviceId) }
  }

  /** Of the hub's own devices; at the home hub also of those elsewhere whose path ends at a CA of its register. */
  async #pathsUnder(hub: HubName, registered: readonly CertificateAuthority[]): Promise<readonly HubPath[]> {
    const { hubs, known, registry } = this.#parts
    const anchors = new Set(registered.map(({ certificate }) => keyOf(parseCertificate(certificate))))
    const isVouchedFor = ({ authorities }: PathUse): boolean => {
      const anchor = known.get(authorities.at(-1) ?? '')
      return anchor !== undefined && anchors.has(keyOf(anchor))
    }
    const paths: HubPath[] = []
    for (const { name } of hub === hubs.home.name ? hubs.all() : []) {
      if (name === hub) continue
      const elsewhere = await registry.sightings.paths(name)
      paths.push(...elsewhere.filter(isVouchedFor).map((path) => ({ ...path, hub: name })))
    }
    const own = await registry.sightings.paths(hub)
    return [...own.filter(({ authorities }) => authorities.length > 0).map((path) => ({ ...path, hub })), ...paths]
  }

  #intermediate(ids: readonly string[], paths: PathsById): AuthorityUse {
    const newest = ids
      .flatMap((id) => this.#parts.known.get(id) ?? [])
      .toSorted((a, b) => b.notAfter - a.notAfter)
      .at(0)
    const facts =
      newest === undefined
        ? { subject: `(certificate ${ids[0] ?? ''})`, sha256: null, notAfter: null }
        : described(newest)
    return { kind: 'intermediate', name: null, isVerified: false, ...facts, ...counted(ids, paths) }
  }

  /** Certificates of one name and key are one CA (RFC 5280 §6.1.1 (d)). */
  #byKey(ids: Iterable<string>): ReadonlyMap<string, readonly string[]> {
    return Map.groupBy(ids, (id) => {
      const certificate = this.#parts.known.get(id)
      return certificate === undefined ? id : keyOf(certificate)
    })
  }

  #nameOf(id: string): string {
    return this.#parts.known.get(id)?.subject.toString() ?? `(certificate ${id})`
  }
}

function described(certificate: Certificate): Pick<AuthorityUse, 'subject' | 'sha256' | 'notAfter'> {
  const { subject, sha256, notAfter } = certificate
  return { subject: printable(subject.toString(), 256), sha256, notAfter }
}

type PathsById = ReadonlyMap<string, readonly HubPath[]>

function byAuthority(paths: readonly HubPath[]): PathsById {
  const byId = new Map<string, HubPath[]>()
  for (const path of paths) {
    for (const id of path.authorities) {
      const used = byId.get(id)
      if (used === undefined) byId.set(id, [path])
      else used.push(path)
    }
  }
  return byId
}

function registeredUse(
  authority: CertificateAuthority,
  seen: ReadonlyMap<string, readonly string[]>,
  paths: PathsById,
): AuthorityUse {
  const certificate = parseCertificate(authority.certificate)
  const ids = [...new Set([certificateId(certificate), ...(seen.get(keyOf(certificate)) ?? [])])]
  return {
    kind: 'registered',
    name: authority.name,
    isVerified: authority.state.kind === 'verified',
    ...described(certificate),
    ...counted(ids, paths),
  }
}

function counted(ids: readonly string[], paths: PathsById): Pick<AuthorityUse, 'ids' | 'devices' | 'lastSeen'> {
  const used = [...new Set(ids.flatMap((id) => paths.get(id) ?? []))]
  const devices = used.reduce((sum, path) => sum + path.devices, 0)
  const lastSeen = used.reduce<number | null>((latest, path) => Math.max(latest ?? 0, path.lastSeen), null)
  return { ids, devices, lastSeen }
}

function keyOf(certificate: Certificate): string {
  return `${certificate.subject.key}/${keyDigest(certificate)}`
}

function choose(all: readonly AuthorityUse[], wanted: string, hub: HubName): AuthorityUse {
  const exact = all.filter(({ name, sha256 }) => name === wanted || sha256 === wanted.toLowerCase())
  const found = exact.length > 0 ? exact : all.filter(({ subject }) => subject.includes(wanted))
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  const known = (found.length > 1 ? found : all).slice(0, 8).map(({ name, subject }) => name ?? `"${subject}"`)
  const what = found.length > 1 ? 'means several CAs' : 'is no CA that is registered or was seen'
  throw new HubError(
    'certificate-not-found',
    `'${printable(wanted)}' ${what} at hub '${hub}': ${known.join(', ') || 'none'}.`,
  )
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
