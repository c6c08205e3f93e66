import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { HubError } from '../errors.ts'
import type { SecretFiles } from '../ports/secret-files.ts'
import { keyIdOf, publicKeyText } from './checkpoint.ts'

export interface SigningKey {
  readonly privateKey: KeyObject
  /** Base64 of the DER. */
  readonly publicKey: string
  /** SHA-256 of the DER, hex. */
  readonly id: string
}

/**
 * The keys that sign checkpoints, newest last, in one sealed file. While one key follows another both are kept, since a
 * crash may fall before or after the entry that says so.
 */
export class SigningKeys {
  readonly #path: string
  readonly #secrets: SecretFiles
  #keys: readonly SigningKey[]

  constructor(folder: string, secrets: SecretFiles) {
    this.#path = join(folder, 'signing-keys.sealed')
    this.#secrets = secrets
    this.#keys = (secrets.read(this.#path) ?? '')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => keyFrom(createPrivateKey({ key: Buffer.from(line, 'base64'), type: 'pkcs8', format: 'der' })))
  }

  get newest(): SigningKey | undefined {
    return this.#keys.at(-1)
  }

  find(id: string): SigningKey {
    const key = this.#keys.find((each) => each.id === id)
    if (key === undefined)
      throw new HubError('internal', `The key ${id} that signs the audit log is missing: restore ${this.#path}.`)
    return key
  }

  make(): SigningKey {
    const key = keyFrom(generateKeyPairSync('ed25519').privateKey)
    this.#keep([...this.#keys, key])
    return key
  }

  keepOnly(key: SigningKey): void {
    this.#keep([key])
  }

  /** Seals the file with the present data key. */
  reseal(): void {
    this.#secrets.read(this.#path)
  }

  #keep(keys: readonly SigningKey[]): void {
    const lines = keys.map(({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'))
    this.#secrets.write(this.#path, lines.join('\n'))
    this.#keys = keys
  }
}

function keyFrom(privateKey: KeyObject): SigningKey {
  const publicKey = publicKeyText(createPublicKey(privateKey))
  return { privateKey, publicKey, id: keyIdOf(publicKey) }
}
