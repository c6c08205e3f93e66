import type { AccessPolicy, PolicyOwner } from '../model/access-policy.ts'
import type { HubName } from '../model/ids.ts'
import type { ConsumerGroupStore, PolicyStore, SettingStore, WriteOutcome } from '../ports/registry.ts'
import { Query, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'

export class SqlitePolicyStore implements PolicyStore {
  readonly #writer: RegistryWriter
  readonly #get: Query
  readonly #list: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    this.#writer = writer
    this.#get = new Query(reader, 'SELECT owner, name, doc FROM policies WHERE owner = ? AND name = ?', 'policies')
    this.#list = new Query(reader, 'SELECT owner, name, doc FROM policies WHERE owner = ? ORDER BY name', 'policies')
  }

  async get(owner: PolicyOwner, name: string): Promise<AccessPolicy | null> {
    const row = this.#get.one(ownerKey(owner), name)
    return row === null ? null : (JSON.parse(textOf(row, 'doc')) as AccessPolicy)
  }

  async list(owner: PolicyOwner): Promise<readonly AccessPolicy[]> {
    return this.#list.all(ownerKey(owner)).map((row) => JSON.parse(textOf(row, 'doc')) as AccessPolicy)
  }

  async put(policy: AccessPolicy): Promise<void> {
    const row = { owner: ownerKey(policy.owner), name: policy.name, doc: JSON.stringify(policy) }
    await this.#writer.write({ kind: 'put', table: 'policies', row })
  }

  async delete(owner: PolicyOwner, name: string): Promise<WriteOutcome> {
    const key = { owner: ownerKey(owner), name }
    return (await this.#writer.write({
      kind: 'delete',
      table: 'policies',
      key,
      expected: { kind: 'any' },
    })) as WriteOutcome
  }
}

export class SqliteConsumerGroupStore implements ConsumerGroupStore {
  readonly #writer: RegistryWriter
  readonly #list: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    this.#writer = writer
    this.#list = new Query(reader, 'SELECT name FROM consumer_groups WHERE hub = ? ORDER BY name')
  }

  async list(hub: HubName): Promise<readonly string[]> {
    return this.#list.all(hub).map((row) => textOf(row, 'name'))
  }

  async create(hub: HubName, name: string): Promise<'written' | 'exists'> {
    const write = { kind: 'create', table: 'consumer_groups', row: { hub, name } } as const
    return (await this.#writer.write(write)) as 'written' | 'exists'
  }

  async delete(hub: HubName, name: string): Promise<'written' | 'absent'> {
    const expected = { kind: 'any' } as const
    const write = { kind: 'delete', table: 'consumer_groups', key: { hub, name }, expected } as const
    return (await this.#writer.write(write)) as 'written' | 'absent'
  }
}

export class SqliteSettingStore implements SettingStore {
  readonly #writer: RegistryWriter
  readonly #get: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    this.#writer = writer
    this.#get = new Query(reader, 'SELECT key, value FROM settings WHERE key = ?', 'settings')
  }

  async get(key: string): Promise<string | null> {
    const row = this.#get.one(key)
    return row === null ? null : textOf(row, 'value')
  }

  async put(key: string, value: string): Promise<void> {
    await this.#writer.write({ kind: 'put', table: 'settings', row: { key, value } })
  }
}

function ownerKey(owner: PolicyOwner): string {
  return owner.kind === 'hub' ? `hub/${owner.hub}` : 'provisioning'
}
