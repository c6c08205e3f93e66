import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { sealerFor } from '../../src/keys/sealer-for.ts'
import { schemaVersion } from '../../src/sqlite/database.ts'
import { RowCipher } from '../../src/sqlite/row-cipher.ts'
import { REGISTRY_MIGRATIONS, SEALED_SCHEMA } from '../../src/sqlite/schema.ts'
import { readEverything } from '../e2e/event-reading.ts'
import { SpawnedServer } from '../e2e/spawned-server.ts'
import { HUB, HUB_HOST } from '../e2e/whole-server.ts'
import { releases, unpack } from './made-by-release.ts'
import { sendAs } from './send.ts'

const CLI = join(import.meta.dirname, '..', '..', '..', 'cli', 'bin', 'holdfast.js')
const SETTINGS = { hubs: [{ name: HUB, hosts: [HUB_HOST], partitions: 2 }], retention: { hours: 24 * 365 } }

describe('a data folder that a release has written', () => {
  const running = new Set<SpawnedServer>()
  after(() => Promise.all([...running].map((server) => server.kill())))

  for (const release of releases()) {
    test(`${release}: everything in it is there, and it goes on`, { timeout: 60_000 }, async (t) => {
      const { parent, facts } = unpack(t, release)
      const server = await SpawnedServer.start(join(parent, 'data'), SETTINGS)
      running.add(server)
      const { operator } = server
      assert.equal(operator.idScope, facts.idScope)
      assert.equal((await operator.hubKey(HUB, 'service')).primaryKey, facts.servicePolicyKey)
      assert.equal((await operator.device(HUB, 'by-certificate')).status, 'disabled')
      const { hubs } = await operator.call<{ hubs: { authorities: object }[] }>('GET', '/holdfast/v1/status')
      assert.deepEqual(hubs[0]?.authorities, { total: 1, verified: 1 })
      await operator.call('GET', '/holdfast/v1/enrollments/enrolled')
      await sendAs(operator, 'by-key', facts.deviceKey, 'after the upgrade')
      const events = await readEverything(await operator.eventsConnectionString(HUB))
      assert.deepEqual(events.map(({ body }) => String(body)).slice(-1), ['after the upgrade'])
      await server.stop()
      const audit = join(parent, 'data', 'audit')
      const entries = readdirSync(audit)
        .filter((file) => file.endsWith('.jsonl'))
        .flatMap((file) => readFileSync(join(audit, file), 'utf8').trimEnd().split('\n'))
        .map((line) => JSON.parse(line) as { act: string })
      assert.ok(entries.some(({ act }) => act === 'authority.prove'))
      assert.ok(!entries.some(({ act }) => /audit\.(shortened|set-aside)/.test(act)))
    })
  }

  test('is copied before its schema changes, and only the newest copy stays', async (t) => {
    const { parent } = unpack(t, releases()[0] ?? '')
    const data = join(parent, 'data')
    const path = join(data, 'registry.db')
    const newest = REGISTRY_MIGRATIONS.length
    for (const found of [SEALED_SCHEMA, newest - 1]) {
      emptyRegistry(path, found)
      const server = await SpawnedServer.start(data, SETTINGS)
      running.add(server)
      await server.stop()
      const copies = readdirSync(data).filter((file) => file.includes('before'))
      assert.deepEqual(copies, [`registry.db.before-${found + 1}`])
      const copy = join(data, copies[0] ?? '')
      assert.equal(statSync(copy).mode & 0o777, 0o600)
      assert.deepEqual([versionOf(copy), versionOf(path)], [found, newest])
    }
  })

  test('that is newer is refused by the command in one sentence, and left as it is', (t) => {
    const { parent } = unpack(t, releases()[0] ?? '')
    const data = join(parent, 'data')
    const path = join(data, 'registry.db')
    const database = new DatabaseSync(path)
    database.exec('PRAGMA user_version = 99; PRAGMA journal_mode = DELETE')
    database.close()
    const digests = (): Record<string, string> =>
      Object.fromEntries(
        readdirSync(data, { recursive: true, withFileTypes: true })
          .filter((file) => file.isFile() && file.name !== 'lock.db' && !/-(?:wal|shm)$/.test(file.name))
          .map((file) => join(file.parentPath, file.name))
          .map((file) => [file, createHash('sha256').update(readFileSync(file)).digest('hex')]),
      )
    const before = digests()
    delete before[path]
    const ports = ['--mqtt-port', '0', '--https-port', '0', '--amqp-port', '0']
    const args = ['--conditions=source', CLI, 'start', '--data', data, '--no-quickstart', '--quiet', ...ports]
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000 })
    assert.equal(status, 1, stderr)
    assert.match(stderr, /was written by a newer Holdfast \(schema 99; this one knows up to \d+\)\. Start that version/)
    const after = digests()
    delete after[path]
    assert.deepEqual(after, before)
    assert.equal(versionOf(path), 99)
    assert.ok(!existsSync(join(data, 'registry.db.before-100')))
  })
})

const NOTHING_TO_SEAL = new RowCipher(sealerFor('registry', 'unsealed'))

/** A registry as a release of that schema began it. */
function emptyRegistry(path: string, version: number): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  const database = new DatabaseSync(path)
  for (const step of REGISTRY_MIGRATIONS.slice(0, version))
    if (typeof step === 'string') database.exec(step)
    else step(database, NOTHING_TO_SEAL)
  database.exec(`PRAGMA user_version = ${version}`)
  database.close()
}

function versionOf(path: string): number {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    return schemaVersion(database)
  } finally {
    database.close()
  }
}
