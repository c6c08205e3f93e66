import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { HubError } from '../errors.ts'
import type { SecretFiles } from '../ports/secret-files.ts'
import { SealError } from './envelope.ts'
import type { Sealer } from './envelope.ts'
import { replaceWhole } from './key-file.ts'

const PREFIX = 'holdfast-sealed-1:'

/** Small files of text, sealed. One that an earlier release wrote in the clear is sealed when it is read, if admitted. */
export class SealedFiles implements SecretFiles {
  readonly #sealer: Sealer
  readonly #admitsUnsealed: boolean

  constructor(sealer: Sealer, options: { readonly admitsUnsealed: boolean }) {
    this.#sealer = sealer
    this.#admitsUnsealed = options.admitsUnsealed
  }

  read(path: string): string | null {
    if (!existsSync(path)) return null
    const text = readFileSync(path, 'utf8')
    if (!text.startsWith(PREFIX)) {
      if (!this.#admitsUnsealed) {
        throw new HubError('internal', `The file ${path} is not sealed: somebody has put it there. Take it away.`)
      }
      this.write(path, text)
      return text
    }
    const sealed = Buffer.from(text.slice(PREFIX.length), 'base64')
    try {
      const plain = this.#sealer.open(sealed, basename(path)).toString('utf8')
      if (this.#sealer.keyOf(sealed) !== this.#sealer.currentKey) this.write(path, plain)
      return plain
    } catch (cause) {
      if (!(cause instanceof SealError)) throw cause
      throw new HubError('internal', `The file ${path} cannot be opened: ${cause.message}.`, { cause })
    }
  }

  write(path: string, text: string): void {
    const sealed = this.#sealer.seal(Buffer.from(text), basename(path))
    replaceWhole(path, `${PREFIX}${Buffer.from(sealed).toString('base64')}\n`)
  }
}
