import { setImmediate as turn } from 'node:timers/promises'
import { parseCertificate, parseCertificates } from '@holdfast/pki'
import type { Enrollment } from '../../model/enrollment.ts'
import { printable } from '../../model/ids.ts'
import type { EnrollmentGroupId, HubName, RegistrationId } from '../../model/ids.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import type { AuthorityUsage } from './authority-usage.ts'
import type { Hubs } from '../hubs.ts'

export const EXPIRY_KINDS = ['server', 'authority', 'intermediate', 'enrollment', 'device'] as const
type ExpiryKind = (typeof EXPIRY_KINDS)[number]

const DAY_MS = 24 * 60 * 60 * 1000
/** How long an expired certificate of a device or an intermediate is news: whoever has not come since is gone. */
const FORGOTTEN_MS = 30 * DAY_MS
/** Enrollments that one look reads. */
const MAX_ENROLLMENTS = 100_000
const PAGE = 200
/** Certificates of devices that one look lists; the rest is counted. */
const MAX_DEVICES = 1_000

/** A certificate and when it ends. */
export interface Expiry {
  readonly kind: ExpiryKind
  /** Null where no hub is concerned. */
  readonly hub: HubName | null
  /** Registration name, enrollment id, device id or host name. */
  readonly name: string
  readonly subject: string
  /** ms; in the past when it has ended. */
  readonly notAfter: number
}

export interface Expiries {
  /** The earliest end first. */
  readonly items: readonly Expiry[]
  /** Devices that are counted and not listed. */
  readonly unlistedDevices: number
}

export interface ExpiryParts {
  readonly registry: Pick<Registry, 'authorities' | 'enrollments' | 'sightings'>
  readonly hubs: Hubs
  readonly usage: AuthorityUsage
  /** PEM of the certificates that its clients rest on: each leaf, what follows it, and the root where it is ours. */
  readonly server: () => readonly string[]
  readonly clock: Clock
}

/** Everything that ends within this time from now, or has ended: what vouches for the server, CAs, devices. */
export async function listExpiries(parts: ExpiryParts, within: number): Promise<Expiries> {
  const now = parts.clock.now()
  const before = now + within
  const items: Expiry[] = serverExpiries(parts)
  let unlistedDevices = 0
  for (const { name } of parts.hubs.all()) {
    items.push(...(await authorityExpiries(name, now, parts)))
    const range = { from: now - FORGOTTEN_MS, before }
    const ending = await parts.registry.sightings.ending(name, { ...range, limit: MAX_DEVICES })
    items.push(...ending.map(({ hub, deviceId, leaf }) => ({ kind: 'device', hub, name: deviceId, ...leaf }) as const))
    unlistedDevices += (await parts.registry.sightings.countEnding(name, range)) - ending.length
  }
  items.push(...(await enrollmentExpiries(parts)))
  const due = items.filter(({ notAfter }) => notAfter < before).toSorted((a, b) => a.notAfter - b.notAfter)
  return { items: due, unlistedDevices: Math.max(0, unlistedDevices) }
}

/** Devices whose certificate ends before this time, or has ended lately; all of them, however many. */
export async function countEndingDevices({ hubs, registry, clock }: ExpiryParts, before: number): Promise<number> {
  const range = { from: clock.now() - FORGOTTEN_MS, before }
  const counts = await Promise.all(hubs.all().map(({ name }) => registry.sightings.countEnding(name, range)))
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Of each certificate that clients rest on: the earliest ends the service. */
function serverExpiries({ server }: ExpiryParts): Expiry[] {
  return server().flatMap((pem) =>
    parseCertificates(pem).map((certificate) => {
      const subject = certificate.subject.toString()
      const name = `${subject} (${certificate.publicKeyAlgorithm.kind.toUpperCase()})`
      return { kind: 'server', hub: null, name, subject, notAfter: certificate.notAfter } as const
    }),
  )
}

/** Of a registered CA its own end; of an intermediate that some device still came with. */
async function authorityExpiries(hub: HubName, now: number, { usage }: ExpiryParts): Promise<Expiry[]> {
  const expiries: Expiry[] = []
  for (const { kind, name, subject, notAfter, devices } of await usage.list(hub)) {
    if (notAfter === null) continue
    if (kind === 'registered') expiries.push({ kind: 'authority', hub, name: name ?? subject, subject, notAfter })
    else if (devices > 0 && notAfter >= now - FORGOTTEN_MS)
      expiries.push({ kind: 'intermediate', hub, name: subject, subject, notAfter })
  }
  return expiries
}

async function enrollmentExpiries({ registry }: ExpiryParts): Promise<Expiry[]> {
  const { enrollments } = registry
  const expiries: Expiry[] = []
  let read = 0
  let after: RegistrationId | null = null
  for (let rows = PAGE; rows === PAGE && read < MAX_ENROLLMENTS; read += rows) {
    const page = await enrollments.listIndividual({ after, limit: PAGE })
    rows = page.length
    after = page.at(-1)?.registrationId ?? null
    expiries.push(...page.flatMap((enrollment) => expiriesOf(enrollment.registrationId, enrollment)))
    await turn()
  }
  let afterGroup: EnrollmentGroupId | null = null
  for (let rows = PAGE; rows === PAGE && read < MAX_ENROLLMENTS; read += rows) {
    const page = await enrollments.listGroups({ after: afterGroup, limit: PAGE })
    rows = page.length
    afterGroup = page.at(-1)?.enrollmentGroupId ?? null
    expiries.push(...page.flatMap((enrollment) => expiriesOf(enrollment.enrollmentGroupId, enrollment)))
    await turn()
  }
  return expiries
}

/** A CA that is referred to by name is listed with the register it stands in. */
function expiriesOf(name: string, { attestation }: Enrollment): Expiry[] {
  const slots =
    'clientCertificates' in attestation
      ? attestation.clientCertificates
      : 'signingCertificates' in attestation
        ? attestation.signingCertificates
        : null
  if (slots === null) return []
  return [slots.primary, slots.secondary].flatMap((der) => {
    if (der === null) return []
    const { subject, notAfter } = parseCertificate(der)
    return [{ kind: 'enrollment', hub: null, name, subject: printable(subject.toString(), 256), notAfter } as const]
  })
}
