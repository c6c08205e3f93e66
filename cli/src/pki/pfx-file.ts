import { ProtectionError, readPkcs12, type Pkcs12File } from '@holdfast/pki'
import type { PassphraseSource } from './key-file.ts'
import { knownPassphrase } from './passphrase.ts'

/** Opens a `.pfx`. One that was made without a passphrase opens with the empty one, and then nothing is asked. */
export async function openPfx(bytes: Uint8Array, path: string, { file, flag }: PassphraseSource): Promise<Pkcs12File> {
  if (file === undefined) {
    try {
      return readPkcs12(bytes, '')
    } catch (error) {
      if (!(error instanceof ProtectionError && error.code === 'wrong-passphrase')) throw error
    }
  }
  return readPkcs12(bytes, await knownPassphrase(file, `'${path}'`, flag))
}
