import type { Alarm } from '../model/alarm.ts'
import type { AlarmFilter, AlarmStore } from '../ports/registry.ts'
import { Query, numberOf, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'

const MAX_SEQUENCE = Number.MAX_SAFE_INTEGER

export class SqliteAlarmStore implements AlarmStore {
  readonly #writer: RegistryWriter
  readonly #get: Query
  readonly #list: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    this.#writer = writer
    this.#get = new Query(reader, 'SELECT id, doc FROM alarms WHERE id = ?', 'alarms')
    // Ten thousand rows at most: one query for every filter, the empty text being none.
    this.#list = new Query(
      reader,
      `SELECT sequence, id, doc FROM alarms WHERE sequence > ? AND sequence < ?
       AND ? IN ('', hub) AND ? IN ('', kind) AND ? IN ('', subject) ORDER BY sequence DESC LIMIT ?`,
      'alarms',
    )
  }

  async add(alarm: Alarm): Promise<void> {
    const { id, hub, kind, subject } = alarm
    const row = { id, hub, kind, subject, doc: JSON.stringify(alarm) }
    await this.#writer.write({ kind: 'create', table: 'alarms', row })
  }

  async get(id: string): Promise<Alarm | null> {
    const row = this.#get.one(id)
    return row === null ? null : (JSON.parse(textOf(row, 'doc')) as Alarm)
  }

  async list(filter: AlarmFilter): Promise<readonly (Alarm & { readonly sequence: number })[]> {
    const { after = -1, before = MAX_SEQUENCE, hub = '', kind = '', subject = '', limit } = filter
    const rows = this.#list.all(after, before, hub, kind, subject, limit)
    return rows.map((row) => ({ ...(JSON.parse(textOf(row, 'doc')) as Alarm), sequence: numberOf(row, 'sequence') }))
  }
}
