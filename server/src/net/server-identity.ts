import { readFileSync } from 'node:fs'
import type { Random } from '@holdfast/pki'
import type { Log } from '../log.ts'
import type { Clock } from '../ports/clock.ts'
import type { SecretFiles } from '../ports/secret-files.ts'
import { givenMaterial } from './given-certificates.ts'
import type { GivenFiles } from './given-certificates.ts'
import { ownMaterial, renewedMaterial, rootFiles } from './own-certificates.ts'
import type { TlsMaterial } from './tls-material.ts'

export interface ServerIdentityOptions {
  /** Where an identity of our own is kept. */
  readonly folder: string
  /** DNS names and IP addresses that the certificate must carry. */
  readonly names: readonly [string, ...string[]]
  /** Certificates that the operator gives by file instead. */
  readonly files: GivenFiles | null
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Keeps the private keys of an identity of our own. */
  readonly secrets: SecretFiles
}

const CHECK_INTERVAL = 60 * 60 * 1000

/** The server's own certificate: made, renewed before it expires, or read from the operator's files. */
export class ServerIdentity {
  #material: TlsMaterial
  readonly #options: ServerIdentityOptions
  readonly #listeners = new Set<(material: TlsMaterial) => void>()
  readonly #timer: NodeJS.Timeout

  private constructor(options: ServerIdentityOptions, material: TlsMaterial) {
    this.#options = options
    this.#material = material
    this.#timer = setInterval(() => void this.refresh(), CHECK_INTERVAL)
    this.#timer.unref()
  }

  static async open(options: ServerIdentityOptions): Promise<ServerIdentity> {
    return new ServerIdentity(options, await loadMaterial(options))
  }

  get material(): TlsMaterial {
    return this.#material
  }

  /** PEM: each certificate that is presented with what follows it, and the root where it is ours. */
  certificates(): readonly string[] {
    const presented = this.#material.map(({ certificates }) => certificates)
    return this.rootFile === null ? presented : [...presented, readFileSync(this.rootFile, 'utf8')]
  }

  /** PEM file of the root that clients must trust; null when the operator's own certificate is used. */
  get rootFile(): string | null {
    return this.#options.files === null ? rootFiles(this.#options.folder).certificate : null
  }

  onChange(listener: (material: TlsMaterial) => void): void {
    this.#listeners.add(listener)
  }

  /**
   * New keys and certificates at once, or the operator's files read again. Connections that stand keep the certificate
   * they began with. Rejects when it cannot be done; the present certificate then stays in use.
   */
  async renew(): Promise<void> {
    const { files } = this.#options
    this.#use(files === null ? await renewedMaterial(this.#options) : await loadMaterial(this.#options))
  }

  /** Renews or rereads; a failure is logged and the present certificate stays in use. */
  async refresh(): Promise<void> {
    try {
      const material = await loadMaterial(this.#options)
      if (JSON.stringify(material) !== JSON.stringify(this.#material)) this.#use(material)
    } catch (error) {
      this.#options.log.error({ error }, 'the server certificate could not be renewed; the present one stays in use')
    }
  }

  #use(material: TlsMaterial): void {
    this.#material = material
    this.#options.log.info('the server certificate was renewed')
    for (const listener of this.#listeners) listener(material)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#listeners.clear()
  }
}

async function loadMaterial(options: ServerIdentityOptions): Promise<TlsMaterial> {
  const { files, names, clock, log } = options
  return files === null ? ownMaterial(options) : givenMaterial(files, { names, now: clock.now(), log })
}
