import { createHash } from 'node:crypto'
import type { Certificate } from '@holdfast/pki'
import type { Device } from '../../model/device.ts'

/** What proved a device: what its session rests on, and for how long. */
export interface Proof {
  readonly kind: 'proof'
  /** JSON text of the annotation iothub-connection-auth-method. */
  readonly authMethod: string
  /** `certificateId` of each certificate of the path, leaf first; empty for a token. */
  readonly path: readonly string[]
  /** What the device showed; absent for a token. */
  readonly leaf?: Certificate
  /** The registered one that the leaf has, as registered, where it is known by one. */
  readonly thumbprint?: string
  /** ms since the epoch. */
  readonly expiresAt: number
}

/** Consumers know this one word for certificates, so both certificate kinds say it (docs/divergences.md). */
export const CERTIFICATE_AUTH_METHOD = authMethod('device', 'x509Certificate', 'external')
export const DEVICE_KEY_AUTH_METHOD = authMethod('device', 'sas', 'iothub')
export const POLICY_KEY_AUTH_METHOD = authMethod('hub', 'sas', 'iothub')

function authMethod(scope: 'device' | 'hub', type: string, issuer: string): string {
  return JSON.stringify({ scope, type, issuer, acceptingIpFilterRule: null })
}

/**
 * Names the identity, the credential it is set up for and whether it may use it. A session opened under another one
 * rests on something that was taken away since: the device disabled, quarantined or made again, a key or the thumbprint
 * replaced, its messages to be sealed.
 */
export function credentialOf(device: CredentialFacts, thumbprint?: string): string {
  const { authentication } = device
  if (authentication.type !== 'selfSigned' || thumbprint === undefined) return digestOf(device, authentication)
  return digestOf(device, { type: 'selfSigned', thumbprint: thumbprint.toLowerCase() })
}

/**
 * Every credential that the device may have proven itself with: with a thumbprint each, so that registering another one
 * beside it ends no session.
 */
export function credentialsOf(device: CredentialFacts): readonly string[] {
  const { authentication } = device
  if (authentication.type !== 'selfSigned') return [credentialOf(device)]
  return [authentication.primaryThumbprint, authentication.secondaryThumbprint].flatMap((thumbprint) =>
    thumbprint === null ? [] : credentialOf(device, thumbprint),
  )
}

type CredentialFacts = Pick<Device, 'generationId' | 'status' | 'authentication' | 'quarantine' | 'sealed'>

function digestOf({ generationId, status, quarantine, sealed = 'off' }: CredentialFacts, credential: object): string {
  return createHash('sha256')
    .update(JSON.stringify([generationId, status, credential, quarantine, sealed]))
    .digest('base64')
}
