import { certificateId, parseCertificate } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { HubError } from '../errors.ts'
import type { Device } from '../model/device.ts'
import type { DeviceId, HubName, RegistrationId } from '../model/ids.ts'
import { parseRegistrationId } from '../model/ids.ts'
import type { Revocation, RevocationTarget } from '../model/revocation.ts'
import { describeTarget } from '../model/revocation.ts'
import type { Registry } from '../ports/registry.ts'
import { keyDigest } from './authorities/known-authorities.ts'
import { deviceTarget } from './revocation/revocations.ts'
import type { RevocationOrder, Revocations } from './revocation/revocations.ts'
import type { Sessions } from './sessions/sessions.ts'

export interface RevokeParts {
  readonly registry: Pick<Registry, 'authorities' | 'devices' | 'registrations' | 'revocations'>
  readonly revocations: Revocations
  readonly sessions: Sessions
}

export interface Revoked {
  readonly revocations: readonly Revocation[]
  /** Sessions of this node that were closed. */
  readonly closed: number
}

export function certificateTarget(certificate: Certificate): RevocationTarget {
  const [issuer, serial] = [certificate.issuer.toString(), certificate.serialHex]
  return { kind: 'certificate', certificateId: certificateId(certificate), issuer, serial }
}

/** `serial` as hex digits, with or without colons and a leading zero. Throws `argument-invalid`. */
export function serialTarget(issuer: Certificate, serial: string): RevocationTarget {
  const digits = serial.replaceAll(/[:\s]|^0x/g, '').toLowerCase()
  if (!/^[0-9a-f]{1,80}$/.test(digits)) throw new HubError('argument-invalid', 'A serial number is 1 to 80 hex digits.')
  let octets = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
  while (octets.length > 1 && octets[0] === 0) octets = octets.subarray(1)
  // A serial number is positive (RFC 5280 §4.1.2.2), so that a set first bit has a zero octet before it in DER.
  if ((octets[0] ?? 0) >= 0x80) octets = Buffer.concat([Uint8Array.of(0), octets])
  const id = certificateId({ issuer: issuer.subject, serial: octets })
  return { kind: 'certificate', certificateId: id, issuer: issuer.subject.toString(), serial: octets.toString('hex') }
}

/** SHA-1 or SHA-256 in hex, with or without colons. Throws `argument-invalid`. */
export function thumbprintTarget(text: string): RevocationTarget {
  const thumbprint = text.replaceAll(/[:\s]/g, '').toLowerCase()
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(thumbprint))
    throw new HubError('argument-invalid', 'A thumbprint is 40 hex digits (SHA-1) or 64 (SHA-256).')
  return { kind: 'thumbprint', thumbprint }
}

export function authorityTarget(certificate: Certificate): RevocationTarget {
  if (!certificate.isCa)
    throw new HubError('argument-invalid', `"${certificate.subject.toString()}" is no CA: revoke it as a certificate.`)
  return { kind: 'authority', key: keyDigest(certificate), subject: certificate.subject.toString() }
}

/** Takes a device's identity, as it is now, and every certificate that it was last seen with. */
export async function revokeDevice(
  hub: HubName,
  device: Device,
  order: RevocationOrder,
  parts: RevokeParts,
): Promise<Revoked> {
  const { deviceId, generationId } = device
  const identity = deviceTarget(deviceId, generationId)
  const because = describeTarget(identity)
  const revoked: Revocation[] = []
  let closed = 0
  for (const target of [identity, ...(await certificatesOf(device, parts))]) {
    const cause = target === identity ? {} : { because }
    const outcome = await parts.revocations.revoke(hub, target, { ...order, ...cause })
    revoked.push(outcome.revocation)
    closed += outcome.closed
  }
  return { revocations: revoked, closed }
}

/**
 * From its live session, the connections before it, its registration and its thumbprints. Never a CA: what the certificate of
 * a device calls itself, and which thumbprints it is given, others than the operator choose.
 */
async function certificatesOf(
  device: Device,
  { registry, revocations, sessions }: RevokeParts,
): Promise<RevocationTarget[]> {
  const authorities = await authoritiesOf(device.hub, { registry, revocations })
  const targets = new Map<string, RevocationTarget>()
  const shown = sessions.find(device.hub, device.deviceId)?.peer.chain[0]
  const registered = await leafOfRegistration(device, registry)
  const seen = await registry.devices.certificatesSeen(device.hub, device.deviceId)
  for (const der of [shown, registered, ...seen.map(({ certificate }) => certificate)]) {
    if (der === undefined || der === null) continue
    const certificate = parseCertificate(der)
    targets.set(certificate.sha256, alone(certificate, authorities))
  }
  if (device.authentication.type === 'selfSigned') {
    const { primaryThumbprint, secondaryThumbprint } = device.authentication
    for (const thumbprint of [primaryThumbprint, secondaryThumbprint])
      if (thumbprint !== null) targets.set(thumbprint.toLowerCase(), thumbprintTarget(thumbprint))
  }
  return [...targets.values()].filter((target) => !authorities.some((authority) => isMeant(target, authority)))
}

/** CAs that are registered at a hub, or were seen on a verified path of any. */
export async function authoritiesOf(
  hub: HubName,
  { registry, revocations }: Pick<RevokeParts, 'registry' | 'revocations'>,
): Promise<readonly Certificate[]> {
  const registered = (await registry.authorities.list(hub)).map(({ certificate }) => parseCertificate(certificate))
  return [...registered, ...[...revocations.known.matching(() => true)].map(([, certificate]) => certificate)]
}

/** This certificate and no CA whose issuer and serial it imitates: any CA can give them to what it signs. */
export function alone(certificate: Certificate, authorities: readonly Certificate[]): RevocationTarget {
  const target = certificateTarget(certificate)
  const isImitation = authorities.some((one) => isMeant(target, one) && one.sha256 !== certificate.sha256)
  return isImitation ? thumbprintTarget(certificate.sha256) : target
}

export function isMeant(target: RevocationTarget, certificate: Certificate): boolean {
  switch (target.kind) {
    case 'thumbprint':
      return [certificate.sha1, certificate.sha256].includes(target.thumbprint)
    case 'certificate':
      return certificateId(certificate) === target.certificateId
    case 'authority':
      return keyDigest(certificate) === target.key
    case 'device':
      break
  }
  return false
}

async function leafOfRegistration(
  { hub, deviceId }: Device,
  { registrations }: Pick<Registry, 'registrations'>,
): Promise<Uint8Array | null> {
  const id = registrationIdOf(deviceId)
  const registration = id === null ? null : await registrations.get(id)
  if (registration?.assignedHub !== hub || registration.deviceId !== deviceId) return null
  return registration.attestation.type === 'x509' ? registration.attestation.leaf : null
}

/** Not every device id is a registration id too: then the provisioning service did not put it there. */
function registrationIdOf(deviceId: DeviceId): RegistrationId | null {
  try {
    return parseRegistrationId(deviceId)
  } catch (error) {
    if (error instanceof HubError) return null
    throw error
  }
}
