import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { HubError } from '../errors.ts'
import type { KeyProvider, KeyProviderKind, KeyProviderParameters } from '../ports/key-provider.ts'
import type { Randomness } from '../ports/clock.ts'

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** A KEK that this process holds in memory, wherever it came from. Wraps with AES-256-GCM under random nonces. */
export class KeyEncryptionKey implements KeyProvider {
  readonly kind: KeyProviderKind
  readonly id: string
  readonly parameters: KeyProviderParameters
  readonly #key: KeyObject
  readonly #random: Randomness

  /** `secret`: 32 bytes. */
  constructor(
    kind: KeyProviderKind,
    secret: Uint8Array,
    { random, parameters = {} }: { random: Randomness; parameters?: KeyProviderParameters },
  ) {
    const key = createSecretKey(secret)
    const part = (use: string, length: number): Buffer =>
      Buffer.from(hkdfSync('sha256', key, '', `holdfast key-encryption key: ${use}`, length))
    this.kind = kind
    this.parameters = parameters
    this.id = part('id', 8).toString('hex')
    this.#key = createSecretKey(part('wrapping', 32))
    this.#random = random
  }

  /** One KEK wraps a few thousand data keys in its life: far below the 2^32 of random nonces (NIST SP 800-38D §8.3). */
  async wrap(dataKey: Uint8Array, context: string): Promise<Uint8Array> {
    const nonce = this.#random.bytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce)
    cipher.setAAD(Buffer.from(context))
    return Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()])
  }

  async unwrap(wrapped: Uint8Array, context: string): Promise<Uint8Array> {
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, wrapped.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
      decipher.setAAD(Buffer.from(context))
      decipher.setAuthTag(wrapped.subarray(-TAG_BYTES))
      return Buffer.concat([decipher.update(wrapped.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
    } catch (cause) {
      throw new HubError('internal', `The key-encryption key ${this.id} does not open this data key.`, { cause })
    }
  }

  async close(): Promise<void> {}
}
