import { readFileSync } from 'node:fs'
import { HubError } from '../errors.ts'
import { defaultKeyFile } from './keyring.ts'
import type { KekSource } from './kek-source.ts'

/** The source that the settings name: a passphrase that was asked for, one in a file, else a key file. */
export function configuredSource(
  settings: { readonly data: string; readonly keyFile: string | null; readonly passphraseFile: string | null },
  askedPassphrase: string | undefined,
): KekSource {
  if (askedPassphrase !== undefined) return { kind: 'passphrase', passphrase: askedPassphrase }
  if (settings.passphraseFile !== null) return { kind: 'passphrase', passphrase: firstLineOf(settings.passphraseFile) }
  return { kind: 'file', path: settings.keyFile ?? defaultKeyFile(settings.data) }
}

function firstLineOf(path: string): string {
  try {
    const [line = ''] = readFileSync(path, 'utf8').split(/\r?\n/, 1)
    if (line !== '') return line
  } catch (cause) {
    throw new HubError('internal', `The passphrase file ${path} cannot be read. Nothing was touched.`, { cause })
  }
  throw new HubError('internal', `The first line of ${path} is empty, so it holds no passphrase. Nothing was touched.`)
}
