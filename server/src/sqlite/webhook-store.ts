import type { HubName } from '../model/ids.ts'
import type { Webhook } from '../model/webhook.ts'
import type { WebhookStore } from '../ports/registry.ts'
import type { Row } from './database.ts'
import { Query, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'

const ANY = { kind: 'any' } as const

export class SqliteWebhookStore implements WebhookStore {
  readonly #writer: RegistryWriter
  readonly #list: Query
  readonly #get: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    this.#writer = writer
    this.#list = new Query(reader, 'SELECT hub, id, doc FROM webhooks ORDER BY hub, id', 'webhooks')
    this.#get = new Query(reader, 'SELECT hub, id, doc FROM webhooks WHERE hub = ? AND id = ?', 'webhooks')
  }

  async list(): Promise<readonly Webhook[]> {
    return this.#list.all().map(webhookOf)
  }

  async get(hub: HubName, id: string): Promise<Webhook | null> {
    const row = this.#get.one(hub, id)
    return row === null ? null : webhookOf(row)
  }

  async create(webhook: Webhook): Promise<'written' | 'exists'> {
    return (await this.#writer.write({ kind: 'create', table: 'webhooks', row: rowOf(webhook) })) as
      | 'written'
      | 'exists'
  }

  async replace(webhook: Webhook): Promise<'written' | 'absent'> {
    const write = { kind: 'replace', table: 'webhooks', row: rowOf(webhook), expected: ANY } as const
    return (await this.#writer.write(write)) as 'written' | 'absent'
  }

  async delete(hub: HubName, id: string): Promise<'written' | 'absent'> {
    const write = { kind: 'delete', table: 'webhooks', key: { hub, id }, expected: ANY } as const
    return (await this.#writer.write(write)) as 'written' | 'absent'
  }
}

function rowOf(webhook: Webhook): Row {
  return { hub: webhook.hub, id: webhook.id, doc: JSON.stringify(webhook) }
}

function webhookOf(row: Row): Webhook {
  return JSON.parse(textOf(row, 'doc')) as Webhook
}
