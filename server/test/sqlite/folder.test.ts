import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { HubError } from '../../src/errors.ts'
import { migrate, openWriter, schemaVersion } from '../../src/sqlite/database.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import type { SqliteStores } from '../../src/sqlite/open.ts'
import { HUB, NOW, bodyOf, event } from '../contract/nouns.ts'

describe('data folder', () => {
  let parent = ''
  let folder = ''
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'holdfast-folder-'))
    folder = join(parent, 'deep', 'data')
  })
  afterEach(() => rmSync(parent, { recursive: true }))

  const open = (): Promise<SqliteStores> =>
    openSqliteStores({ keys: DATA_KEYS, folder, refusalCapacity: 10, clock: { now: () => NOW } })

  test('folders have mode 0700 and files 0600, whatever the umask', async () => {
    const umask = process.umask(0)
    try {
      const stores = await open()
      await stores.telemetryLog.append(0, event('x'))
      await stores.telemetryLog.read(HUB, 0, 0, { events: 1, bytes: 1 })
      await stores.registry.settings.put('a', 'b')
      const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
      assert.ok(entries.some((entry) => entry.name.endsWith('-wal')))
      assert.equal(statSync(folder).mode & 0o777, 0o700)
      for (const entry of entries) {
        const mode = statSync(join(entry.parentPath, entry.name)).mode & 0o777
        assert.equal(mode, entry.isDirectory() ? 0o700 : 0o600, entry.name)
      }
      await stores.close()
    } finally {
      process.umask(umask)
    }
  })

  test('a second server is kept out, until the first one has closed', async () => {
    const first = await open()
    await assert.rejects(open(), /is in use by another Holdfast server; stop that one or choose another folder/)
    await first.registry.settings.put('still', 'works')
    await first.close()
    const second = await open()
    assert.equal(await second.registry.settings.get('still'), 'works')
    await second.close()
  })

  test('a server that was killed keeps nobody out', async () => {
    const child = spawn(
      process.execPath,
      ['--conditions=source', join(import.meta.dirname, 'crash-child.ts'), folder, '0'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    await once(child.stdout, 'data')
    await assert.rejects(open(), /in use by another Holdfast server/)
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    await (await open()).close()
  })

  test('a folder that a newer release has written is refused and left as it was', async () => {
    await (await open()).close()
    const registry = new DatabaseSync(join(folder, 'registry.db'))
    registry.exec('PRAGMA user_version = 99')
    registry.close()
    await assert.rejects(
      open(),
      (error) => error instanceof HubError && /newer Holdfast \(schema 99/.test(error.message),
    )
    await assert.rejects(open(), /newer Holdfast/)
  })

  test('a telemetry segment of a newer release is refused', async () => {
    const stores = await open()
    await stores.telemetryLog.append(0, event('x'))
    await stores.close()
    const hub = join(folder, 'telemetry', HUB)
    const file = readdirSync(hub).find((name) => name.endsWith('.db')) ?? ''
    const segment = new DatabaseSync(join(hub, file))
    segment.exec('PRAGMA user_version = 99')
    segment.close()
    await assert.rejects(open(), /newer Holdfast \(schema 99/)
  })

  test('what an interrupted start of a segment left behind is cleared away', async () => {
    const stores = await open()
    await stores.telemetryLog.append(0, event('x'))
    await stores.close()
    const hub = join(folder, 'telemetry', HUB)
    openWriter(join(hub, '20300101T000000Z-00000.db')).close()
    writeFileSync(join(hub, '20300101T000000Z-00001.db'), '')
    writeFileSync(join(hub, '20300101T000000Z-00001.db-journal'), 'cut off')
    writeFileSync(join(hub, '20300101T000000Z-00002.db-wal'), 'its database is gone')
    const reopened = await open()
    assert.equal((await reopened.telemetryLog.append(0, event('y'))).sequence, 1)
    const read = await reopened.telemetryLog.read(HUB, 0, 0, { events: 9, bytes: 1_000 })
    assert.deepEqual(
      read.map((stored) => bodyOf(stored.event)),
      ['x', 'y'],
    )
    assert.ok(!readdirSync(hub).some((name) => name.startsWith('2030')))
    await reopened.close()
  })
})

describe('migrations', () => {
  const STEPS = ['CREATE TABLE a (x) ', 'ALTER TABLE a ADD COLUMN y', 'INSERT INTO a VALUES (1, 2)']

  test('run forward from where a database stands, each once', () => {
    const database = new DatabaseSync(':memory:')
    migrate(database, STEPS.slice(0, 2), 'It')
    assert.equal(schemaVersion(database), 2)
    migrate(database, STEPS, 'It')
    migrate(database, STEPS, 'It')
    assert.equal(schemaVersion(database), 3)
    assert.equal(database.prepare('SELECT count(*) AS count FROM a').get()?.['count'], 1)
    database.close()
  })

  test('one that fails leaves the version and the content of the step before', () => {
    const database = new DatabaseSync(':memory:')
    const broken = [STEPS[0] ?? '', 'INSERT INTO a VALUES (1); SELECT broken']
    assert.throws(() => migrate(database, broken, 'It'), /broken/)
    assert.equal(schemaVersion(database), 1)
    assert.equal(database.prepare('SELECT count(*) AS count FROM a').get()?.['count'], 0)
    database.close()
  })
})
