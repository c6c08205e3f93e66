import { readFileSync } from 'node:fs'
import { KeyError } from './key-error.ts'
import { defaultKeyFile } from './keyring.ts'
import type { KekSource } from './kek-source.ts'

/** What settings or options say about the key-encryption key. */
export interface KeySettings {
  readonly data: string
  readonly keyFile: string | null
  readonly passphraseFile: string | null
  readonly token?: TokenSettings | null | undefined
}

export interface TokenSettings {
  readonly module: string
  readonly token: string
  readonly key: string
  /** Absent: the PIN is typed. */
  readonly pinFile?: string | null | undefined
}

/** What the operator typed: it takes the place of a file. */
export interface TypedSecrets {
  readonly keyPassphrase?: string | undefined
  readonly tokenPin?: string | undefined
}

/** The source that the settings name: a passphrase that was asked for, a token, a passphrase in a file, else a key file. */
export function configuredSource(settings: KeySettings, typed: TypedSecrets): KekSource {
  if (typed.keyPassphrase !== undefined) return { kind: 'passphrase', passphrase: typed.keyPassphrase }
  if (settings.token) return tokenSource(settings.token, typed)
  if (settings.passphraseFile !== null)
    return { kind: 'passphrase', passphrase: firstLineOf(settings.passphraseFile, 'passphrase') }
  return { kind: 'file', path: settings.keyFile ?? defaultKeyFile(settings.data) }
}

export function tokenSource(
  { module, token, key, pinFile }: TokenSettings,
  { tokenPin }: Pick<TypedSecrets, 'tokenPin'>,
): KekSource {
  const pin = tokenPin ?? (pinFile ? firstLineOf(pinFile, 'PIN') : undefined)
  if (pin !== undefined) return { kind: 'token', module, token, key, pin }
  throw new KeyError(`The PIN of token '${token}' is missing: name a pinFile, or start at a terminal.`)
}

function firstLineOf(path: string, what: string): string {
  try {
    const [line = ''] = readFileSync(path, 'utf8').split(/\r?\n/, 1)
    if (line !== '') return line
  } catch (cause) {
    throw new KeyError(`The ${what} file ${path} cannot be read. Nothing was touched.`, { cause })
  }
  throw new KeyError(`The first line of ${path} is empty, so it holds no ${what}. Nothing was touched.`)
}
