import type { ExpectedEtag } from '../model/etag.ts'
import type { HubName } from '../model/ids.ts'
import type { RevocationRecord, RevocationRecordKind, SequencedRecord } from '../model/revocation.ts'
import type { RevocationStore, WriteOutcome } from '../ports/registry.ts'
import type { Row } from './database.ts'
import { Query, numberOf, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'

export class SqliteRevocationStore implements RevocationStore {
  readonly #writer: RegistryWriter
  readonly #get: Query
  readonly #changes: Query
  readonly #sequence: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    const select = 'SELECT hub, kind, id, sequence, certificate, doc FROM revocation_records'
    this.#writer = writer
    this.#get = new Query(reader, `${select} WHERE hub = ? AND kind = ? AND id = ?`, 'revocation_records')
    this.#changes = new Query(reader, `${select} WHERE sequence > ? ORDER BY sequence LIMIT ?`, 'revocation_records')
    this.#sequence = new Query(reader, `SELECT value FROM revisions WHERE name = 'revocations'`)
  }

  async get(hub: HubName, kind: RevocationRecordKind, id: string): Promise<SequencedRecord | null> {
    const row = this.#get.one(hub, kind, id)
    return row === null ? null : recordOf(row)
  }

  async changes(after: number, limit: number): Promise<readonly SequencedRecord[]> {
    return this.#changes.all(after, limit).map(recordOf)
  }

  async sequence(): Promise<number> {
    const row = this.#sequence.one()
    return row === null ? 0 : numberOf(row, 'value')
  }

  async create(record: RevocationRecord): Promise<'written' | 'exists'> {
    const write = { kind: 'create', table: 'revocation_records', row: rowOf(record) } as const
    return (await this.#writer.write(write)) as 'written' | 'exists'
  }

  async replace(record: RevocationRecord, expected: ExpectedEtag): Promise<WriteOutcome> {
    const write = { kind: 'replace', table: 'revocation_records', row: rowOf(record), expected } as const
    return (await this.#writer.write(write)) as WriteOutcome
  }

  async forget(hub: HubName, authority: string): Promise<void> {
    const key = { hub, kind: 'authority', id: authority }
    await this.#writer.write({ kind: 'delete', table: 'revocation_records', key, expected: { kind: 'any' } })
  }
}

function rowOf(record: RevocationRecord): Row {
  const { hub, kind, id, etag } = record
  if (!('certificate' in record)) return { hub, kind, id, etag, certificate: null, doc: JSON.stringify(record) }
  return { hub, kind, id, etag, certificate: record.certificate, doc: JSON.stringify({ ...record, certificate: null }) }
}

function recordOf(row: Row): SequencedRecord {
  const record = { ...(JSON.parse(textOf(row, 'doc')) as RevocationRecord), sequence: numberOf(row, 'sequence') }
  const { certificate } = row
  return certificate instanceof Uint8Array ? ({ ...record, certificate } as SequencedRecord) : record
}
