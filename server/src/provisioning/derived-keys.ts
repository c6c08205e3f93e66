import { createHmac, createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** Key lengths that the service accepts, in bytes. */
const MIN_KEY_BYTES = 16
const MAX_KEY_BYTES = 64

/** The key of one device of a group: base64(HMAC-SHA256(group key, UTF-8 of the registration id)). */
export function deriveDeviceKey(groupKey: KeyObject, registrationId: string): string {
  return createHmac('sha256', groupKey).update(registrationId, 'utf8').digest('base64')
}

export function secretKeyOf(base64: string): KeyObject {
  return createSecretKey(Buffer.from(base64, 'base64'))
}

/** Whether the text is canonical base64 of a key of 16 to 64 bytes. */
export function isSymmetricKey(text: string): boolean {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length >= MIN_KEY_BYTES && bytes.length <= MAX_KEY_BYTES && bytes.toString('base64') === text
}
