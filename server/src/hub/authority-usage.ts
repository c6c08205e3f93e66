import { certificateId, parseCertificate } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { HubError } from '../errors.ts'
import type { CertificateAuthority } from '../model/certificate-authority.ts'
import { printable } from '../model/ids.ts'
import type { DeviceId, HubName } from '../model/ids.ts'
import type { PathUse, Sighting } from '../model/sighting.ts'
import type { Registry } from '../ports/registry.ts'
import type { Hubs } from './hubs.ts'
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
    const paths = await this.#pathsUnder(hub)
    const ids = new Set(paths.flatMap(({ authorities }) => authorities))
    const rows = registered.map((authority) => this.#registered(authority, ids, paths))
    const claimed = new Set(rows.flatMap((row) => row.ids))
    const others = this.#byKey([...ids].filter((id) => !claimed.has(id)))
    const intermediates = others.map((group) => this.#intermediate(group, paths))
    return [...rows, ...intermediates.toSorted((a, b) => b.devices - a.devices || compare(a.subject, b.subject))]
  }

  /**
   * Devices that were seen last with this CA: the name of a registration, a SHA-256 or part of a subject that only one
   * CA has. Rejects with `certificate-not-found`.
   */
  async devices(
    hub: HubName,
    wanted: string,
    page: { after: DeviceId | null; limit: number },
  ): Promise<{ readonly authority: AuthorityUse; readonly devices: readonly AuthorityUser[] }> {
    const authority = choose(await this.list(hub), wanted, hub)
    const used = (await this.#pathsUnder(hub)).filter(
      ({ authorities, devices }) => devices > 0 && uses(authorities, authority.ids),
    )
    const devices: AuthorityUser[] = []
    for (const each of new Set(used.map((path) => path.hub))) {
      const paths = used.filter((path) => path.hub === each).map(({ authorities }) => authorities)
      const found = await this.#parts.registry.sightings.listByPaths(each, paths, page)
      devices.push(
        ...found.map((one) => ({ ...one, authoritySubjects: one.authorities.map((id) => this.#nameOf(id)) })),
      )
    }
    return { authority, devices: devices.toSorted((a, b) => compare(a.deviceId, b.deviceId)).slice(0, page.limit) }
  }

  async #pathsUnder(hub: HubName): Promise<readonly HubPath[]> {
    const { hubs, registry } = this.#parts
    const all = hub === hubs.home.name ? hubs.all().map(({ name }) => name) : [hub]
    const paths: HubPath[] = []
    for (const each of all) {
      const own = await registry.sightings.paths(each)
      paths.push(...own.filter(({ authorities }) => authorities.length > 0).map((path) => ({ ...path, hub: each })))
    }
    return paths
  }

  #registered(authority: CertificateAuthority, seen: ReadonlySet<string>, paths: readonly HubPath[]): AuthorityUse {
    const certificate = parseCertificate(authority.certificate)
    const ids = new Set([certificateId(certificate)])
    for (const id of seen) {
      const other = this.#parts.known.get(id)
      if (other !== undefined && isSameAuthority(certificate, other)) ids.add(id)
    }
    return {
      kind: 'registered',
      name: authority.name,
      isVerified: authority.state.kind === 'verified',
      ...described(certificate),
      ...counted([...ids], paths),
    }
  }

  #intermediate(ids: readonly string[], paths: readonly HubPath[]): AuthorityUse {
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
  #byKey(ids: readonly string[]): readonly (readonly string[])[] {
    const groups = Map.groupBy(ids, (id) => {
      const certificate = this.#parts.known.get(id)
      return certificate === undefined ? id : `${certificate.subject.key}/${keyDigest(certificate)}`
    })
    return [...groups.values()]
  }

  #nameOf(id: string): string {
    return this.#parts.known.get(id)?.subject.toString() ?? `(certificate ${id})`
  }
}

function described(certificate: Certificate): Pick<AuthorityUse, 'subject' | 'sha256' | 'notAfter'> {
  const { subject, sha256, notAfter } = certificate
  return { subject: printable(subject.toString(), 256), sha256, notAfter }
}

function counted(
  ids: readonly string[],
  paths: readonly HubPath[],
): Pick<AuthorityUse, 'ids' | 'devices' | 'lastSeen'> {
  const used = paths.filter(({ authorities }) => uses(authorities, ids))
  const devices = used.reduce((sum, path) => sum + path.devices, 0)
  const lastSeen = used.length === 0 ? null : Math.max(...used.map((path) => path.lastSeen))
  return { ids, devices, lastSeen }
}

function uses(authorities: readonly string[], ids: readonly string[]): boolean {
  return authorities.some((id) => ids.includes(id))
}

function isSameAuthority(one: Certificate, other: Certificate): boolean {
  return one.subject.key === other.subject.key && keyDigest(one) === keyDigest(other)
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
