import { hash } from 'node:crypto'
import type { Certificate } from '@holdfast/pki'
import type { Device, DeviceAuthentication } from '../../model/device.ts'
import type { Ground } from '../../model/ground.ts'

/** What proved a device: what its session rests on, and for how long. */
export interface Proof {
  readonly kind: 'proof'
  /** JSON text of the annotation iothub-connection-auth-method. */
  readonly authMethod: string
  /** `certificateId` of each certificate of the path, leaf first; empty for a token. */
  readonly path: readonly string[]
  /** What the device showed; absent for a token. */
  readonly leaf?: Certificate
  /** SHA-256 of the anchor's certificate; absent where no path counts. */
  readonly anchor?: string
  /** Which of the identity's credentials it was: see credentialOf. */
  readonly shown: string
  /** What it rests on besides its certificates. */
  readonly grounds?: readonly Ground[]
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

/** By its registered CA, or by a policy's token: the identity itself holds no secret or digest that was shown. */
export const NOTHING_OF_ITS_OWN = ''

/** Of base64 text, as hex: what a key is known by where the key itself must not lie. */
export function keyDigestOf(key: string): string {
  return hash('sha256', Buffer.from(key, 'base64'), 'hex')
}

/**
 * Names the identity, the credential it is set up for and whether it may use it. A session opened under another one
 * rests on something that was taken away since: the device disabled, quarantined or made again, a key or the thumbprint
 * replaced, its messages to be sealed. `shown` is the one of several that proved it: a thumbprint as registered, the digest
 * of a key, or NOTHING_OF_ITS_OWN.
 */
export function credentialOf(device: CredentialFacts, shown: string): string {
  const { generationId, status, authentication, quarantine, sealed = 'off' } = device
  const facts = [generationId, status, authentication.type, shown.toLowerCase(), quarantine, sealed]
  return hash('sha256', JSON.stringify(facts), 'base64')
}

/**
 * Every credential that the device may have proven itself with, one by one: registering another thumbprint beside the one
 * that was shown, or replacing the other key, ends no session.
 */
export function credentialsOf(device: CredentialFacts): readonly string[] {
  return ownCredentials(device.authentication).map((shown) => credentialOf(device, shown))
}

function ownCredentials(authentication: DeviceAuthentication): readonly string[] {
  switch (authentication.type) {
    case 'sas':
      return [
        keyDigestOf(authentication.primaryKey),
        keyDigestOf(authentication.secondaryKey),
        // Signed with a policy's key: that one is a ground of its own.
        NOTHING_OF_ITS_OWN,
      ]
    case 'selfSigned':
      return [authentication.primaryThumbprint, authentication.secondaryThumbprint].flatMap((each) => each ?? [])
    case 'certificateAuthority':
      return [NOTHING_OF_ITS_OWN]
  }
}

type CredentialFacts = Pick<Device, 'generationId' | 'status' | 'authentication' | 'quarantine' | 'sealed'>
