import assert from 'node:assert/strict'
import { copyFileSync, cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import type { SqliteStores } from '../../src/sqlite/open.ts'
import { REGISTRY_MIGRATIONS, TABLES } from '../../src/sqlite/schema.ts'
import type { SealingKeys } from '../../src/keys/sealer-for.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import { HUB, OTHER_HUB, authority, bodyOf, device, event, group } from '../contract/nouns.ts'
import { DATA_KEYS, dataKey } from './data-keys.ts'
import { filesIn } from './whole-folder.ts'

const NOW = Date.UTC(2026, 10, 24, 7)
const BUDGET = { events: 1_000, bytes: 10_000_000 }

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-tamper-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

function open(folder: string, keys: SealingKeys = DATA_KEYS, more: object = {}): Promise<SqliteStores> {
  return openSqliteStores({ folder, keys, refusalCapacity: 100, clock: { now: () => NOW }, ...more })
}

/** Three blocks in partition 0 of two hubs each, and one in partition 1. */
async function fill(stores: SqliteStores): Promise<void> {
  for (const hub of [HUB, OTHER_HUB]) {
    for (const text of ['one', 'two', 'three']) await stores.telemetryLog.append(0, event(text, { hub }))
    await stores.telemetryLog.append(1, event('other partition', { hub }))
  }
}

const segmentOf = (folder: string, hub: string): string => {
  const path = join(folder, 'telemetry', hub)
  return join(path, readdirSync(path).find((name) => name.endsWith('.db')) ?? '')
}

/** A folder that nobody changes; each test gets a copy of it. */
const original = mkdtempSync(join(tmpdir(), 'holdfast-original-'))
after(() => rmSync(original, { recursive: true }))
before(async () => {
  const stores = await open(original)
  await fill(stores)
  await stores.registry.devices.create(device('a', { statusReason: 'alpha' }))
  await stores.registry.devices.create(device('b', { statusReason: 'beta' }))
  await stores.close()
})

/** The stores of a copy, opened after its files have been changed by hand. */
async function tamper(t: TestContext, change: (folder: string) => void): Promise<SqliteStores> {
  const folder = makeFolder(t)
  cpSync(original, folder, { recursive: true })
  change(folder)
  const stores = await open(folder)
  t.after(() => stores.close())
  return stores
}

function edit(path: string, sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}

/** Flips one bit of a stored value, `at` bytes into it. */
function flip(path: string, where: { column: string; row: string; at: number }): void {
  const database = new DatabaseSync(path)
  const value = database.prepare(`SELECT ${where.column} AS value FROM ${where.row}`).get()?.['value'] as Uint8Array
  database.close()
  const file = readFileSync(path)
  const place = file.indexOf(value.subarray(0, 100))
  assert.ok(place > 0, 'the value is stored in one piece')
  file[place + where.at] = (file[place + where.at] ?? 0) ^ 1
  writeFileSync(path, file)
}

const read = ({ telemetryLog }: SqliteStores, partition: number) => telemetryLog.read(HUB, partition, 0, BUDGET)

test('a flipped bit of a block is noticed, and its segment, partition and events are named', async (t) => {
  const where = { column: 'bytes', row: 'blocks WHERE partition = 0 AND first = 1', at: 45 }
  const stores = await tamper(t, (folder) => flip(segmentOf(folder, HUB), where))
  await assert.rejects(
    read(stores, 0),
    /segment .*factory\/2026.*-00000\.db is damaged: the block of partition 0 with events 1 to 1 cannot be opened/,
  )
  assert.equal((await read(stores, 1)).length, 1)
})

const MOVES: readonly [string, string][] = [
  [
    'a block in the place of another',
    `UPDATE blocks SET bytes = (SELECT bytes FROM blocks WHERE partition = 0 AND first = 0) WHERE partition = 0 AND first = 1`,
  ],
  [
    'a block of another partition',
    `UPDATE blocks SET bytes = (SELECT bytes FROM blocks WHERE partition = 1) WHERE partition = 0 AND first = 1`,
  ],
  [
    'two blocks that have changed places',
    `UPDATE blocks SET first = 9 WHERE partition = 0 AND first = 1; UPDATE blocks SET first = 1 WHERE partition = 0 AND first = 2; UPDATE blocks SET first = 2 WHERE first = 9`,
  ],
  [
    'a block that is played again at the end',
    `INSERT INTO blocks (partition, first, count, time, bytes) SELECT partition, 3, count, time, bytes FROM blocks WHERE partition = 0 AND first = 0`,
  ],
  ['a block with another time', `UPDATE blocks SET time = time - 1 WHERE partition = 0 AND first = 1`],
  ['a block that is not sealed', `UPDATE blocks SET bytes = x'0100' WHERE partition = 0 AND first = 1`],
]

test('a block that was moved, replayed or replaced is noticed', async (t) => {
  for (const [what, sql] of MOVES) {
    const stores = await tamper(t, (folder) => edit(segmentOf(folder, HUB), sql))
    await assert.rejects(read(stores, 0), /damaged/, what)
  }
})

test('a block that was taken out is missed', async (t) => {
  const stores = await tamper(t, (folder) =>
    edit(segmentOf(folder, HUB), 'DELETE FROM blocks WHERE partition = 0 AND first = 1'),
  )
  await assert.rejects(read(stores, 0), /events 1 to 1 of partition 0 of hub factory have been taken out/)
})

test('a segment of another hub is noticed', async (t) => {
  const stores = await tamper(t, (folder) => copyFileSync(segmentOf(folder, OTHER_HUB), segmentOf(folder, HUB)))
  await assert.rejects(read(stores, 0), /damaged/)
})

test('a row in the place of another, or a flipped bit of one, is noticed and named', async (t) => {
  const [a, b] = [parseDeviceId('a'), parseDeviceId('b')]
  const swapped = await tamper(t, (folder) =>
    edit(
      join(folder, 'registry.db'),
      `UPDATE devices SET doc = (SELECT doc FROM devices WHERE device_id = 'b') WHERE device_id = 'a'`,
    ),
  )
  await assert.rejects(
    swapped.registry.devices.get(HUB, a),
    /registry\.db is damaged: doc of the row \(factory, a\) of devices cannot be opened/,
  )
  assert.equal((await swapped.registry.devices.get(HUB, b))?.statusReason, 'beta')
  const where = { column: 'doc', row: `devices WHERE device_id = 'a'`, at: 60 }
  const flipped = await tamper(t, (folder) => flip(join(folder, 'registry.db'), where))
  await assert.rejects(flipped.registry.devices.get(HUB, a), /row \(factory, a\) of devices/)
})

test('without its keys a folder opens nothing', async (t) => {
  const folder = makeFolder(t)
  cpSync(original, folder, { recursive: true })
  const thief = await open(folder, [dataKey(9)])
  t.after(() => thief.close())
  await assert.rejects(
    thief.registry.devices.get(HUB, parseDeviceId('a')),
    /data key 1, which the keyring does not hold/,
  )
  await assert.rejects(read(thief, 0), /data key 1, which the keyring does not hold/)
})

test('data that an earlier release wrote in the clear is sealed at the start, and none of it remains', async (t) => {
  const folder = makeFolder(t)
  await writeOldFolder(folder)
  assert.ok(holds(folder, 'CANARY'), 'the old folder is in the clear')
  await assert.rejects(open(folder), /is in the clear, although everything in this data folder has been sealed/)

  const told: string[] = []
  const stores = await open(folder, DATA_KEYS, { admitsUnsealed: true, onProgress: (line: string) => told.push(line) })
  const { registry } = stores
  assert.equal((await registry.devices.get(HUB, parseDeviceId('old')))?.statusReason, 'CANARY device')
  assert.equal((await registry.authorities.list(HUB))[0]?.sha256, authority('ca').sha256)
  assert.deepEqual(
    Buffer.from((await registry.authorities.list(HUB))[0]?.certificate ?? []),
    Buffer.from(authority('ca').certificate),
  )
  assert.deepEqual(await registry.enrollments.getGroup(group('g').enrollmentGroupId), group('g'))
  assert.equal(await registry.settings.get('secret'), 'CANARY setting')
  assert.equal((await registry.devices.count(HUB)).total, 1)
  assert.deepEqual(
    (await read(stores, 0)).map(({ event }) => bodyOf(event)),
    ['CANARY event 0', 'CANARY event 1'],
  )
  await stores.telemetryLog.append(0, event('CANARY new'))
  assert.equal((await read(stores, 0)).length, 3)
  await stores.close()
  assert.deepEqual(told, [
    'sealed the registry: 4 rows',
    'sealed telemetry segment 1 of 1: factory/20261124T070000Z-00000.db',
  ])
  assert.ok(!holds(folder, 'CANARY'))
  await (await open(folder)).close()
})

test('every column of the registry is sealed, or is one of those that are plain on purpose', async (t) => {
  const folder = makeFolder(t)
  await (await open(folder)).close()
  const database = new DatabaseSync(join(folder, 'registry.db'))
  t.after(() => database.close())
  const tables = database
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
    .all()
  const undecided = tables.flatMap(({ name }) => {
    const table = String(name)
    const sealed = Object.keys(TABLES[table as keyof typeof TABLES]?.sealed ?? {})
    const columns = database
      .prepare(`PRAGMA table_info(${table})`)
      .all()
      .map((column) => String(column['name']))
    return columns
      .filter((column) => !sealed.includes(column) && !PLAIN[table]?.includes(column))
      .map((column) => `${table}.${column}`)
  })
  assert.deepEqual(undecided, [], 'seal it (schema.ts), or list it here and in docs/decisions/0014-sealed-at-rest.md')
})

/** Why each may stay in the clear: docs/decisions/0014-sealed-at-rest.md. */
const PLAIN: Readonly<Record<string, readonly string[]>> = {
  devices: ['hub', 'device_id', 'etag', 'status', 'last_activity_time', 'connection_state_updated_time'],
  device_counts: ['hub', 'status', 'count'],
  revisions: ['name', 'value'],
  authorities: ['hub', 'name', 'etag', 'sha256', 'state'],
  individual_enrollments: ['registration_id', 'etag'],
  enrollment_groups: ['enrollment_group_id', 'etag'],
  registrations: ['registration_id', 'etag', 'enrollment_group_id'],
  policies: ['owner', 'name'],
  refusals: ['sequence', 'tracking_id', 'time', 'hub', 'identity', 'address', 'rule'],
  consumer_groups: ['hub', 'name'],
  settings: ['key'],
  certificates_seen: ['hub', 'device_id', 'certificate', 'last_seen'],
  revocation_records: ['hub', 'kind', 'id', 'etag', 'sequence'],
  sightings: ['hub', 'device_id', 'path', 'leaf', 'leaf_subject', 'leaf_not_after', 'seen', 'source'],
  sighted_paths: ['hub', 'path', 'devices', 'last_seen'],
  alarms: ['sequence', 'id', 'hub', 'kind', 'subject'],
  credential_uses: ['hub', 'device_id', 'certificate', 'serial', 'key', 'seen'],
  webhooks: ['hub', 'id'],
  approvals: ['sequence', 'id'],
  message_counters: ['hub', 'device_id', 'generation_id', 'last', 'recent'],
}

/** A folder as the releases before sealing wrote it: schema 4 of the registry, version 1 of a segment. */
async function writeOldFolder(folder: string): Promise<void> {
  const stores = await open(folder, 'unsealed')
  for (const number of [0, 1]) await stores.telemetryLog.append(0, event(`CANARY event ${number}`))
  await stores.close()
  const segment = new DatabaseSync(segmentOf(folder, HUB))
  segment.exec('PRAGMA user_version = 1')
  segment.close()
  for (const name of readdirSync(folder)) if (name.startsWith('registry.db')) rmSync(join(folder, name))
  const database = new DatabaseSync(join(folder, 'registry.db'))
  database.exec('PRAGMA journal_mode = WAL')
  for (const step of REGISTRY_MIGRATIONS.slice(0, 4)) if (typeof step === 'string') database.exec(step)
  database.exec('PRAGMA user_version = 4')
  const insert = (sql: string, ...values: (string | number | null | Uint8Array)[]) =>
    database.prepare(sql).run(...values)
  const kept = device('old', { statusReason: 'CANARY device' })
  insert(
    'INSERT INTO devices VALUES (?, ?, ?, ?, NULL, NULL, ?)',
    HUB,
    'old',
    kept.etag,
    'enabled',
    JSON.stringify(kept),
  )
  const ca = authority('ca')
  const caDocument = JSON.stringify({ ...ca, certificate: null })
  insert(
    'INSERT INTO authorities VALUES (?, ?, ?, ?, ?, ?, ?)',
    HUB,
    'ca',
    ca.etag,
    ca.sha256,
    'unverified',
    ca.certificate,
    caDocument,
  )
  const enrolled = group('g')
  const { attestation } = enrolled
  const certificates = 'signingCertificates' in attestation ? attestation.signingCertificates : null
  const document = JSON.stringify({ ...enrolled, attestation: { ...attestation, signingCertificates: null } })
  insert(
    'INSERT INTO enrollment_groups VALUES (?, ?, ?, ?, ?)',
    'g',
    enrolled.etag,
    certificates?.primary ?? null,
    certificates?.secondary ?? null,
    document,
  )
  insert('INSERT INTO settings VALUES (?, ?)', 'secret', 'CANARY setting')
  // Deleted rows stay in free pages when nobody overwrites them.
  for (let index = 0; index < 200; index++)
    insert('INSERT INTO policies VALUES (?, ?, ?)', 'x', `${index}`, `CANARY policy ${index}`)
  database.exec('DELETE FROM policies')
  database.close()
}

function holds(folder: string, text: string): boolean {
  return filesIn(folder).some(({ bytes }) => bytes.includes(text))
}
