import { readFileSync } from 'node:fs'
import { HubError } from '../errors.ts'
import { defaultKeyFile } from './keyring.ts'
import type { TokenPlace } from './token-key.ts'
import type { KekSource } from './kek-source.ts'

/** The source that the settings name: a passphrase that was asked for, a token, a passphrase in a file, else a key file. */
export function configuredSource(
  settings: {
    readonly data: string
    readonly keyFile: string | null
    readonly passphraseFile: string | null
    readonly token?: (Omit<TokenPlace, 'pin'> & { readonly pinFile: string }) | null | undefined
  },
  askedPassphrase: string | undefined,
): KekSource {
  if (askedPassphrase !== undefined) return { kind: 'passphrase', passphrase: askedPassphrase }
  if (settings.token) {
    const { pinFile, ...place } = settings.token
    return { kind: 'token', ...place, pin: firstLineOf(pinFile, 'PIN') }
  }
  if (settings.passphraseFile !== null)
    return { kind: 'passphrase', passphrase: firstLineOf(settings.passphraseFile, 'passphrase') }
  return { kind: 'file', path: settings.keyFile ?? defaultKeyFile(settings.data) }
}

function firstLineOf(path: string, what: string): string {
  try {
    const [line = ''] = readFileSync(path, 'utf8').split(/\r?\n/, 1)
    if (line !== '') return line
  } catch (cause) {
    throw new HubError('internal', `The ${what} file ${path} cannot be read. Nothing was touched.`, { cause })
  }
  throw new HubError('internal', `The first line of ${path} is empty, so it holds no ${what}. Nothing was touched.`)
}
