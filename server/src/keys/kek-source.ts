import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Randomness } from '../ports/clock.ts'
import type { KeyProvider, KeyProviderKind, KeyProviderParameters } from '../ports/key-provider.ts'
import { KeyError } from './key-error.ts'
import { makeKeyFile, promoteSuccessor, readKeyFile, successorOf } from './key-file.ts'
import { tokenKey } from './token-key.ts'
import type { TokenPlace } from './token-key.ts'
import { passphraseKey } from './passphrase-key.ts'

/** Where the operator says that the key-encryption key comes from. */
export type KekSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'passphrase'; readonly passphrase: string }
  | ({ readonly kind: 'token' } & TokenPlace)

/** What a keyring remembers of the KEK that wraps its keys. */
export interface KekFacts {
  readonly kind: KeyProviderKind
  readonly id: string
  readonly parameters: KeyProviderParameters
}

/** A KEK for a keyring that does not exist yet: the file's when there is one already, else a new one. */
export async function firstKek(source: KekSource, random: Randomness): Promise<KeyProvider> {
  if (source.kind === 'passphrase') return passphraseKey(source.passphrase, { random })
  if (source.kind === 'token') return tokenKey(source, { random })
  mkdirSync(dirname(source.path), { recursive: true, mode: 0o700 })
  return readKeyFile(source.path, random) ?? makeKeyFile(source.path, random)
}

/** The KEK that wraps a keyring; rejects, having touched nothing, when the source does not give this one. */
export async function knownKek(source: KekSource, facts: KekFacts, random: Randomness): Promise<KeyProvider> {
  if (source.kind !== facts.kind) throw wrongKind(source, facts)
  if (source.kind === 'passphrase') {
    const kek = await passphraseKey(source.passphrase, { random, known: facts.parameters })
    if (kek.id === facts.id) return kek
    throw refused('The passphrase is not the one that this data folder was sealed with.')
  }
  if (source.kind === 'token') {
    const kek = await tokenKey(source, { random })
    if (kek.id === facts.id) return kek
    throw refused(`Key ${source.key} of token '${source.token}' is not the one that this data folder was sealed with.`)
  }
  const kek = readKeyFile(source.path, random)
  if (kek?.id === facts.id) return kek
  // A rotation was cut off after the keyring had been written and before the new file was in place.
  const successor = readKeyFile(successorOf(source.path), random)
  if (successor?.id === facts.id) {
    promoteSuccessor(source.path)
    return successor
  }
  if (kek === null) {
    throw refused(`The key file ${source.path} is missing. Put it back, or say where it is with --key-file.`)
  }
  throw refused(
    `The key file ${source.path} holds key ${kek.id}, but this data folder is sealed with key ${facts.id}. ` +
      'Say where that one is with --key-file.',
  )
}

/** A new KEK that is to replace another one; call `settle` once the keyring is wrapped with it. */
export async function nextKek(
  source: KekSource,
  random: Randomness,
): Promise<{ readonly kek: KeyProvider; readonly settle: () => void }> {
  if (source.kind === 'passphrase') {
    return { kek: await passphraseKey(source.passphrase, { random }), settle: () => {} }
  }
  if (source.kind === 'token') return { kek: await tokenKey(source, { random }), settle: () => {} }
  mkdirSync(dirname(source.path), { recursive: true, mode: 0o700 })
  // Left behind by a rotation that failed before the keyring was written: it wraps nothing.
  if (existsSync(successorOf(source.path))) rmSync(successorOf(source.path))
  return { kek: makeKeyFile(successorOf(source.path), random), settle: () => promoteSuccessor(source.path) }
}

function wrongKind(source: KekSource, facts: KekFacts): KeyError {
  const words = { file: 'a key file', passphrase: 'a passphrase', token: 'a token' } as const
  const remedies = {
    file: 'Name the file with --key-file, and no passphrase or token.',
    passphrase: 'Give it with --key-passphrase-file or --ask-key-passphrase.',
    token: 'Name the token with --key-token, or in keys.token of the configuration file.',
  } as const
  return refused(
    `This data folder is sealed with ${words[facts.kind]}, not with ${words[source.kind]}. ${remedies[facts.kind]}`,
  )
}

function refused(message: string): KeyError {
  return new KeyError(`${message} Nothing was touched.`)
}
