import { createSecretKey } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HubError } from '../errors.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { KeyProvider } from '../ports/key-provider.ts'
import type { DataKey } from './envelope.ts'
import { firstKek, knownKek, nextKek } from './kek-source.ts'
import type { KekFacts, KekSource } from './kek-source.ts'
import { createWhole, replaceWhole } from './key-file.ts'

const FORMAT = 1
const KEY_BYTES = 32
/** A key for each day of ten years. */
const MAX_KEYS = 4_096

export interface KeyringOptions {
  /** The data folder. */
  readonly folder: string
  readonly source: KekSource
  /** Whether the folder holds data that is sealed already: then its keyring must be there. */
  readonly holdsSealedData: boolean
  readonly clock: Clock
  readonly random: Randomness
}

interface StoredKey {
  readonly id: number
  /** ms. */
  readonly createdTime: number
  /** base64. */
  readonly wrapped: string
}

interface KeyringFile {
  readonly format: number
  readonly kek: KekFacts
  /** While true, data that an earlier release wrote in the clear is taken in; bound into the wrapping of each key. */
  readonly admitsUnsealed: boolean
  readonly keys: readonly StoredKey[]
}

interface HeldKey extends DataKey {
  readonly createdTime: number
}

export interface KeyringFacts {
  readonly kek: { readonly kind: string; readonly id: string; readonly path: string | null }
  readonly dataKeys: readonly { readonly id: number; readonly createdTime: number; readonly current: boolean }[]
}

/** The data keys of one server, in `keyring.json`, each wrapped by the key-encryption key, which lies elsewhere. */
export class Keyring {
  readonly #path: string
  readonly #clock: Clock
  readonly #random: Randomness
  readonly #listeners: ((key: DataKey) => Promise<void>)[] = []
  #source: KekSource
  #kek: KeyProvider
  #keys: readonly HeldKey[]
  #admitsUnsealed: boolean
  /** Changes come one after another. */
  #underway: Promise<unknown> = Promise.resolve()
  /** How many wait for the keys to stay as they are. */
  #holders = 0

  private constructor(options: KeyringOptions, kek: KeyProvider, keys: readonly HeldKey[], admitsUnsealed: boolean) {
    this.#path = pathIn(options.folder)
    this.#clock = options.clock
    this.#random = options.random
    this.#source = options.source
    this.#kek = kek
    this.#keys = keys
    this.#admitsUnsealed = admitsUnsealed
  }

  /** Opens the keyring of the folder, or makes one for a folder without sealed data. A wrong KEK rejects, nothing being touched. */
  static async open(options: KeyringOptions): Promise<Keyring> {
    const path = pathIn(options.folder)
    if (existsSync(path)) return Keyring.#openKnown(options, parseKeyring(readFileSync(path, 'utf8'), path))
    if (options.holdsSealedData) {
      throw new HubError(
        'internal',
        `The keyring ${path} is missing, but the data beside it is sealed with its keys. ` +
          'Put it back from a backup; without it nothing of the data can be read. Nothing was touched.',
      )
    }
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    const keyring = new Keyring(options, await firstKek(options.source, options.random), [], true)
    keyring.#keys = [keyring.#newKey()]
    createWhole(path, await keyring.#text(keyring.#kek, keyring.#keys))
    return keyring
  }

  static async #openKnown(options: KeyringOptions, file: KeyringFile): Promise<Keyring> {
    const kek = await knownKek(options.source, file.kek, options.random)
    return new Keyring(options, kek, await unwrapKeys(file, kek), file.admitsUnsealed)
  }

  /** The data keys in the text of a keyring that lies elsewhere, such as in a backup. */
  static async dataKeysOf(
    text: string,
    { source, random, path }: { source: KekSource; random: Randomness; path: string },
  ): Promise<readonly DataKey[]> {
    const file = parseKeyring(text, path)
    const kek = await knownKek(source, file.kek, random)
    try {
      return await unwrapKeys(file, kek)
    } finally {
      await kek.close()
    }
  }

  /** The last one is the one to seal with. */
  get dataKeys(): readonly DataKey[] {
    return this.#keys
  }

  /** True from the first start of a data folder until everything in it is sealed. */
  get admitsUnsealed(): boolean {
    return this.#admitsUnsealed
  }

  /** Everything is sealed: from now on data in the clear is taken for a forgery. */
  endUnsealed(): Promise<void> {
    return this.#oneByOne(async () => {
      if (!this.#admitsUnsealed) return
      this.#admitsUnsealed = false
      replaceWhole(this.#path, await this.#text(this.#kek, this.#keys))
    })
  }

  facts(): KeyringFacts {
    const { kind, id } = this.#kek
    return {
      kek: { kind, id, path: this.#source.kind === 'file' ? this.#source.path : null },
      dataKeys: this.#keys.map(({ id, createdTime }) => ({ id, createdTime, current: id === this.#keys.at(-1)?.id })),
    }
  }

  /** Until `release` no key changes: whatever is copied meanwhile opens with the keyring of this text. */
  hold(): Promise<{ readonly text: string; readonly release: () => void }> {
    return this.#oneByOne(async () => {
      const text = readFileSync(this.#path, 'utf8')
      this.#holders += 1
      return { text, release: () => (this.#holders -= 1) }
    })
  }

  /** Told of each new data key once it is on the disk; from then on it may seal. */
  onNewKey(listener: (key: DataKey) => Promise<void>): void {
    this.#listeners.push(listener)
  }

  /** Wraps every data key with a new KEK; `to` absent: another one from the same place. Returns the id of the new one. */
  rotateKek(to?: KekSource): Promise<string> {
    return this.#oneByOne(async () => {
      this.#requireFree()
      const source = to ?? this.#source
      if (to === undefined && source.kind !== 'file') throw unnamedSuccessor(source.kind)
      if (
        to?.kind === 'file' &&
        existsSync(to.path) &&
        (this.#source.kind !== 'file' || this.#source.path !== to.path)
      ) {
        throw new HubError('argument-invalid', `There is a file ${to.path} already; a new key is never put over one.`)
      }
      const { kek, settle } = await nextKek(source, this.#random)
      if (kek.id === this.#kek.id)
        throw new HubError(
          'argument-invalid',
          `The data keys are wrapped with key ${kek.id} already; name another one.`,
        )
      replaceWhole(this.#path, await this.#text(kek, this.#keys))
      settle()
      await this.#kek.close()
      this.#kek = kek
      this.#source = source
      return kek.id
    })
  }

  /** Adds a data key that seals from now on. */
  addDataKey(): Promise<DataKey> {
    return this.#oneByOne(async () => {
      this.#requireFree()
      if (this.#keys.length >= MAX_KEYS) {
        throw new HubError(
          'argument-invalid',
          `The keyring holds ${MAX_KEYS} data keys; let old ones be retired first.`,
        )
      }
      const key = this.#newKey()
      const keys = [...this.#keys, key]
      replaceWhole(this.#path, await this.#text(this.#kek, keys))
      this.#keys = keys
      for (const listener of this.#listeners) await listener(key)
      return key
    })
  }

  /** Destroys data keys: what they sealed can never be read again. The newest one stays. Returns how many went. */
  retire(isUnused: (key: { id: number; createdTime: number; supersededTime: number }) => boolean): Promise<number> {
    return this.#oneByOne(async () => {
      this.#requireFree()
      const keys = this.#keys.filter(({ id, createdTime }, index) => {
        const next = this.#keys[index + 1]
        return next === undefined || !isUnused({ id, createdTime, supersededTime: next.createdTime })
      })
      const retired = this.#keys.length - keys.length
      if (retired === 0) return 0
      replaceWhole(this.#path, await this.#text(this.#kek, keys))
      this.#keys = keys
      return retired
    })
  }

  async close(): Promise<void> {
    await this.#underway
    await this.#kek.close()
  }

  #requireFree(): void {
    if (this.#holders === 0) return
    throw new HubError('precondition-failed', 'A backup is under way, and needs the keys as they are; try again later.')
  }

  #newKey(): HeldKey {
    const key = createSecretKey(this.#random.bytes(KEY_BYTES))
    return { id: (this.#keys.at(-1)?.id ?? 0) + 1, createdTime: this.#clock.now(), key }
  }

  async #text(kek: KeyProvider, keys: readonly HeldKey[]): Promise<string> {
    const stored: StoredKey[] = []
    for (const { id, createdTime, key } of keys) {
      const wrapped = await kek.wrap(key.export(), contextOf(id, createdTime, this.#admitsUnsealed))
      stored.push({ id, createdTime, wrapped: Buffer.from(wrapped).toString('base64') })
    }
    const { kind, id, parameters } = kek
    const admitsUnsealed = this.#admitsUnsealed
    const file: KeyringFile = { format: FORMAT, kek: { kind, id, parameters }, admitsUnsealed, keys: stored }
    return `${JSON.stringify(file, null, 2)}\n`
  }

  #oneByOne<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#underway.then(work)
    this.#underway = result.catch(() => {})
    return result
  }
}

function unnamedSuccessor(kind: 'passphrase' | 'token'): HubError {
  const words = {
    passphrase: 'A new passphrase is needed to replace the present one.',
    token: 'Make another key in the token, and name it to replace the present one.',
  } as const
  return new HubError('argument-invalid', words[kind])
}

async function unwrapKeys(file: KeyringFile, kek: KeyProvider): Promise<HeldKey[]> {
  const keys: HeldKey[] = []
  for (const { id, createdTime, wrapped } of file.keys) {
    const secret = await kek.unwrap(Buffer.from(wrapped, 'base64'), contextOf(id, createdTime, file.admitsUnsealed))
    keys.push({ id, createdTime, key: createSecretKey(secret) })
  }
  return keys
}

/** `data` → `data.key`: beside the data folder, so that a copy of the folder does not hold it. */
export function defaultKeyFile(folder: string): string {
  return `${folder.replace(/\/+$/, '')}.key`
}

function pathIn(folder: string): string {
  return join(folder, 'keyring.json')
}

function contextOf(id: number, createdTime: number, admitsUnsealed: boolean): string {
  return `holdfast data key ${id} of ${createdTime}${admitsUnsealed ? ', admits unsealed data' : ''}`
}

function parseKeyring(text: string, path: string): KeyringFile {
  const file = parseJson(text) as Partial<KeyringFile> | null
  if (file?.format !== undefined && file.format > FORMAT) {
    throw new HubError('internal', `The keyring ${path} was written by a newer Holdfast; start that version.`)
  }
  const { kek, keys, admitsUnsealed } = file ?? {}
  const whole =
    typeof admitsUnsealed === 'boolean' &&
    (kek?.kind === 'file' || kek?.kind === 'passphrase' || kek?.kind === 'token') &&
    typeof kek.id === 'string' &&
    typeof kek.parameters === 'object' &&
    Array.isArray(keys) &&
    keys.length > 0 &&
    keys.length <= MAX_KEYS &&
    keys.every(isStoredKey) &&
    keys.every((key, index) => key.id > (keys[index - 1]?.id ?? 0))
  if (whole) return file as KeyringFile
  throw new HubError('internal', `The keyring ${path} is damaged; put it back from a backup. Nothing was touched.`)
}

function isStoredKey(value: unknown): value is StoredKey {
  const key = value as Partial<StoredKey> | null
  return Number.isInteger(key?.id) && Number.isInteger(key?.createdTime) && typeof key?.wrapped === 'string'
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
