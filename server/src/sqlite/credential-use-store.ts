import type { CredentialUse } from '../model/credential-use.ts'
import type { CredentialUseStore } from '../ports/registry.ts'
import { Query, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'

const MAX_RELATED = 16

export class SqliteCredentialUseStore implements CredentialUseStore {
  readonly #writer: RegistryWriter
  readonly #related: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    this.#writer = writer
    this.#related = new Query(
      reader,
      `SELECT hub, device_id, certificate, doc FROM credential_uses
       WHERE (certificate = ?1 OR serial = ?2 OR key = ?3) AND NOT (hub = ?4 AND device_id = ?5 AND certificate = ?1)
       LIMIT ?6`,
      'credential_uses',
    )
  }

  async add(uses: readonly CredentialUse[]): Promise<void> {
    const writes = uses.map((use) => ({ kind: 'create', table: 'credential_uses', row: rowOf(use) }) as const)
    if (writes.length > 0) await this.#writer.write({ kind: 'several', writes })
  }

  async related({ certificate, serial, key, hub, deviceId }: CredentialUse): Promise<readonly CredentialUse[]> {
    const rows = this.#related.all(certificate.sha256, serial, key, hub, deviceId, MAX_RELATED)
    return rows.map((row) => JSON.parse(textOf(row, 'doc')) as CredentialUse)
  }
}

function rowOf(use: CredentialUse) {
  const { hub, deviceId, certificate, serial, key, seen } = use
  return { hub, device_id: deviceId, certificate: certificate.sha256, serial, key, seen, doc: JSON.stringify(use) }
}
