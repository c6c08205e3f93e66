import { existsSync } from 'node:fs'
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { configuredSource, parsePkcs11Uri } from '@holdfast/server'
import type { KekSource } from '@holdfast/server'
import { askSecret, knownPassphrase } from './pki/passphrase.ts'

export type TokenKey = ReturnType<typeof parsePkcs11Uri>

/** Where a key-encryption key is. */
export interface KeyFlags {
  readonly keyFile?: string
  readonly keyPassphraseFile?: string
  readonly askKeyPassphrase?: true
  readonly keyToken?: TokenKey
}

/** The options that name the key that something was sealed with; `about` says which one. */
export function addKeyOptions(command: Command, about: string): Command {
  return command
    .option('--key-file <file>', `${about} (default: <data>.key)`)
    .option('--key-passphrase-file <file>', 'file whose first line is the passphrase that takes its place')
    .addOption(
      new Option('--ask-key-passphrase', 'ask for that passphrase').conflicts(['keyFile', 'keyPassphraseFile']),
    )
    .addOption(
      keyTokenOption('its key in a PKCS#11 token').conflicts(['keyFile', 'keyPassphraseFile', 'askKeyPassphrase']),
    )
}

export function keyTokenOption(what: string): Option {
  const form = 'pkcs11:token=…;id=%01?module-path=…&pin-source=file:…; without pin-source the PIN is asked for'
  return new Option('--key-token <uri>', `${what} (${form})`).argParser((uri: string): TokenKey => {
    try {
      return parsePkcs11Uri(uri)
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error))
    }
  })
}

/** The key that the options name, else the file beside the data folder. What must be typed is asked for. */
export async function keySourceOf(options: KeyFlags, data: string, what: string): Promise<KekSource> {
  const keyPassphrase = options.askKeyPassphrase
    ? await knownPassphrase(undefined, what, '--key-passphrase-file')
    : undefined
  const { keyToken, keyFile = null, keyPassphraseFile: passphraseFile = null } = options
  const tokenPin = keyToken === undefined ? undefined : await pinOf(keyToken)
  return configuredSource({ data, keyFile, passphraseFile, token: keyToken }, { keyPassphrase, tokenPin })
}

/** null: nothing names it, and it does not lie where it would by itself. */
export async function keyAtHand(options: KeyFlags, data: string): Promise<KekSource | null> {
  const isNamed = options.keyToken !== undefined || options.askKeyPassphrase === true
  const file = options.keyPassphraseFile ?? options.keyFile ?? `${data}.key`
  return isNamed || existsSync(file) ? keySourceOf(options, data, 'the backup') : null
}

/** undefined: it lies in the file that the token's URI names. */
export function pinOf({ token, pinFile }: Pick<TokenKey, 'token'> & { pinFile?: string | null | undefined }) {
  return pinFile ? undefined : askSecret(`PIN of token '${token}'`, '--key-token with pin-source=file:')
}
