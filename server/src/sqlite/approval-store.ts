import type { Approval } from '../model/approval.ts'
import type { ApprovalStore } from '../ports/registry.ts'
import { Query, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'

export class SqliteApprovalStore implements ApprovalStore {
  readonly #writer: RegistryWriter
  readonly #list: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    this.#writer = writer
    this.#list = new Query(reader, 'SELECT id, doc FROM approvals ORDER BY sequence', 'approvals')
  }

  async list(): Promise<readonly Approval[]> {
    return this.#list.all().map((row) => JSON.parse(textOf(row, 'doc')) as Approval)
  }

  async put(approval: Approval): Promise<void> {
    const row = { id: approval.id, doc: JSON.stringify(approval) }
    await this.#writer.write({ kind: 'put', table: 'approvals', row })
  }

  async delete(id: string): Promise<'written' | 'absent'> {
    const write = { kind: 'delete', table: 'approvals', key: { id }, expected: { kind: 'any' } } as const
    return (await this.#writer.write(write)) as 'written' | 'absent'
  }
}
