import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomFillSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** A data key of the keyring; it crosses to worker threads as it is. */
export interface DataKey {
  /** From 1; a later key has a greater id. */
  readonly id: number
  /** 32 bytes. */
  readonly key: KeyObject
}

/** Seals what is stored. `context` says where it belongs: sealed bytes open there and nowhere else. */
export interface Sealer {
  seal(plain: Uint8Array, context: string): Uint8Array
  /** Throws SealError. The result may share memory with nothing else. */
  open(sealed: Uint8Array, context: string): Buffer
  /** From now on this key seals; the ones before still open. */
  add(key: DataKey): void
  /** Id of the data key that sealed this, or null when it is none of ours. */
  keyOf(sealed: Uint8Array): number | null
  readonly currentKey: number
}

/** What the sealed bytes are for: each purpose has keys of its own. */
export type SealPurpose = 'registry' | 'telemetry' | 'file' | 'backup'

export class SealError extends Error {
  override readonly name = 'SealError'
}

const FORMAT = 1
const SALT_BYTES = 16
const COUNTER_AT = 5 + SALT_BYTES
const HEADER_BYTES = COUNTER_AT + 4
const TAG_BYTES = 16
export const SEAL_OVERHEAD = HEADER_BYTES + TAG_BYTES
const MAX_SEALS = 2 ** 32
/** Derived keys kept for opening: one for each start of a server whose data is being read. */
const MAX_DERIVED = 1_024

interface Sealing {
  readonly dataKey: DataKey
  readonly salt: Buffer
  readonly key: KeyObject
  count: number
}

/**
 * AES-256-GCM. Sealed bytes are: format (1), data key id (4), salt (16), counter (4), ciphertext, tag (16).
 *
 * The key in use is derived from the data key by HKDF-SHA-256 with the salt, which is drawn when the sealer is made and
 * again after 2^32 seals; the 96-bit nonce is the counter. So a key and a nonce never meet twice (NIST SP 800-38D §8.2.1),
 * however often the server starts and however many copies of its folder are started: 2^48 salts could be drawn before
 * two are likely to be equal with probability 2^-32.
 */
export class EnvelopeSealer implements Sealer {
  readonly #purpose: SealPurpose
  readonly #keys = new Map<number, KeyObject>()
  /** In order of use, the longest unused first. */
  readonly #derived = new Map<string, KeyObject>()
  #sealing: Sealing
  /** Most reads in a row are of what one start of the server sealed. */
  #lastOpened: { readonly name: Buffer; readonly key: KeyObject } | null = null

  constructor(purpose: SealPurpose, keys: readonly DataKey[]) {
    const last = keys.at(-1)
    if (last === undefined) throw new TypeError('A sealer needs a data key.')
    this.#purpose = purpose
    for (const { id, key } of keys) this.#keys.set(id, key)
    this.#sealing = this.#begin(last)
  }

  get currentKey(): number {
    return this.#sealing.dataKey.id
  }

  add(key: DataKey): void {
    this.#keys.set(key.id, key.key)
    this.#sealing = this.#begin(key)
  }

  seal(plain: Uint8Array, context: string): Buffer {
    if (this.#sealing.count === MAX_SEALS) this.#sealing = this.#begin(this.#sealing.dataKey)
    const { dataKey, salt, key } = this.#sealing
    const sealed = Buffer.allocUnsafeSlow(SEAL_OVERHEAD + plain.length)
    sealed[0] = FORMAT
    sealed.writeUInt32BE(dataKey.id, 1)
    salt.copy(sealed, 5)
    sealed.writeUInt32BE(this.#sealing.count++, COUNTER_AT)
    const cipher = createCipheriv('aes-256-gcm', key, nonceOf(sealed))
    cipher.setAAD(Buffer.from(context))
    sealed.set(cipher.update(plain), HEADER_BYTES)
    cipher.final()
    sealed.set(cipher.getAuthTag(), HEADER_BYTES + plain.length)
    return sealed
  }

  open(sealed: Uint8Array, context: string): Buffer {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
    const decipher = createDecipheriv('aes-256-gcm', this.#keyFor(bytes), nonceOf(bytes), { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(context))
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
    const plain = decipher.update(bytes.subarray(HEADER_BYTES, -TAG_BYTES))
    try {
      decipher.final()
    } catch {
      throw new SealError('it was changed, or belongs to another place')
    }
    return plain
  }

  keyOf(sealed: Uint8Array): number | null {
    if (sealed.length < SEAL_OVERHEAD || sealed[0] !== FORMAT) return null
    return Buffer.from(sealed.buffer, sealed.byteOffset, 5).readUInt32BE(1)
  }

  #keyFor(sealed: Buffer): KeyObject {
    const id = this.keyOf(sealed)
    if (id === null) throw new SealError('it is not sealed')
    const last = this.#lastOpened
    if (last !== null && sealed.compare(last.name, 0, undefined, 1, COUNTER_AT) === 0) return last.key
    const name = sealed.toString('latin1', 1, COUNTER_AT)
    const derived = this.#derived.get(name) ?? this.#derive(id, sealed.subarray(5, COUNTER_AT))
    this.#derived.delete(name)
    this.#derived.set(name, derived)
    for (const oldest of this.#derived.keys()) {
      if (this.#derived.size <= MAX_DERIVED) break
      this.#derived.delete(oldest)
    }
    this.#lastOpened = { name: Buffer.from(name, 'latin1'), key: derived }
    return derived
  }

  #derive(id: number, salt: Uint8Array): KeyObject {
    const key = this.#keys.get(id)
    if (key === undefined) throw new SealError(`it was sealed with data key ${id}, which the keyring does not hold`)
    return createSecretKey(Buffer.from(hkdfSync('sha256', key, salt, `holdfast ${this.#purpose}`, 32)))
  }

  #begin(dataKey: DataKey): Sealing {
    // Not injected: a nonce that a test can repeat is one that a server can repeat.
    const salt = randomFillSync(Buffer.alloc(SALT_BYTES))
    return { dataKey, salt, key: this.#derive(dataKey.id, salt), count: 0 }
  }
}

function nonceOf(sealed: Buffer): Buffer {
  const nonce = Buffer.alloc(12)
  sealed.copy(nonce, 8, COUNTER_AT, HEADER_BYTES)
  return nonce
}
