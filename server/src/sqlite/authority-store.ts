import type { CertificateAuthority } from '../model/certificate-authority.ts'
import type { ExpectedEtag } from '../model/etag.ts'
import type { AuthorityName, HubName } from '../model/ids.ts'
import type { AuthorityStore, WriteOutcome } from '../ports/registry.ts'
import type { Row } from './database.ts'
import { Query, bytesOf, numberOf, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'

export class SqliteAuthorityStore implements AuthorityStore {
  readonly #writer: RegistryWriter
  readonly #get: Query
  readonly #list: Query
  readonly #findVerified: Query
  readonly #revision: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    const select = 'SELECT hub, name, certificate, doc FROM authorities'
    this.#writer = writer
    this.#get = new Query(reader, `${select} WHERE hub = ? AND name = ?`, 'authorities')
    this.#list = new Query(reader, `${select} WHERE hub = ? ORDER BY name`, 'authorities')
    this.#findVerified = new Query(
      reader,
      `${select} WHERE sha256 = ? AND state = 'verified' ORDER BY hub, name`,
      'authorities',
    )
    this.#revision = new Query(reader, `SELECT value FROM revisions WHERE name = 'authorities'`)
  }

  async get(hub: HubName, name: AuthorityName): Promise<CertificateAuthority | null> {
    const row = this.#get.one(hub, name)
    return row === null ? null : authorityOf(row)
  }

  async list(hub: HubName): Promise<readonly CertificateAuthority[]> {
    return this.#list.all(hub).map(authorityOf)
  }

  async findVerified(sha256: string): Promise<readonly CertificateAuthority[]> {
    return this.#findVerified.all(sha256).map(authorityOf)
  }

  async create(authority: CertificateAuthority): Promise<'written' | 'exists'> {
    const write = { kind: 'create', table: 'authorities', row: rowOf(authority) } as const
    return (await this.#writer.write(write)) as 'written' | 'exists'
  }

  async replace(authority: CertificateAuthority, expected: ExpectedEtag): Promise<WriteOutcome> {
    const write = { kind: 'replace', table: 'authorities', row: rowOf(authority), expected } as const
    return (await this.#writer.write(write)) as WriteOutcome
  }

  async delete(hub: HubName, name: AuthorityName, expected: ExpectedEtag): Promise<WriteOutcome> {
    const write = { kind: 'delete', table: 'authorities', key: { hub, name }, expected } as const
    return (await this.#writer.write(write)) as WriteOutcome
  }

  async revision(): Promise<number> {
    const row = this.#revision.one()
    return row === null ? 0 : numberOf(row, 'value')
  }
}

function rowOf(authority: CertificateAuthority): Row {
  return {
    hub: authority.hub,
    name: authority.name,
    etag: authority.etag,
    sha256: authority.sha256,
    state: authority.state.kind,
    certificate: authority.certificate,
    doc: JSON.stringify({ ...authority, certificate: null }),
  }
}

function authorityOf(row: Row): CertificateAuthority {
  const document = JSON.parse(textOf(row, 'doc')) as CertificateAuthority
  return { ...document, certificate: bytesOf(row, 'certificate') }
}
