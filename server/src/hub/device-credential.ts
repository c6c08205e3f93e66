import { createHash } from 'node:crypto'
import type { Certificate } from '@holdfast/pki'
import type { Device } from '../model/device.ts'

/** What proved a device: what its session rests on, and for how long. */
export interface Proof {
  readonly kind: 'proof'
  /** JSON text of the annotation iothub-connection-auth-method. */
  readonly authMethod: string
  /** `certificateId` of each certificate of the path, leaf first; empty for a token. */
  readonly path: readonly string[]
  /** What the device showed; absent for a token. */
  readonly leaf?: Certificate
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
 * rests on something that was taken away since: the device disabled, quarantined or made again, a key or a thumbprint replaced.
 */
export function credentialOf(
  device: Pick<Device, 'generationId' | 'status' | 'authentication' | 'quarantine'>,
): string {
  const { generationId, status, authentication, quarantine } = device
  return createHash('sha256')
    .update(JSON.stringify([generationId, status, authentication, quarantine]))
    .digest('base64')
}
