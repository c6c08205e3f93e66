import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { startServer } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { createWhole, replaceWhole } from '../../src/keys/key-file.ts'
import { createLog } from '../../src/log.ts'

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-planted-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('a secret is written through no link that somebody has put in its way', (t) => {
  const folder = makeFolder(t)
  const victim = join(folder, 'victim')
  for (const [name, write] of Object.entries({ createWhole, replaceWhole })) {
    writeFileSync(victim, 'untouched')
    const path = join(folder, name)
    symlinkSync(victim, `${path}.draft`)
    write(path, 'secret')
    assert.equal(readFileSync(victim, 'utf8'), 'untouched')
    assert.equal(readFileSync(path, 'utf8'), 'secret')
    assert.equal(statSync(path).mode & 0o777, 0o600)
  }
})

test("who may write beside the data folder does not read the owner's token along", async (t) => {
  const folder = makeFolder(t)
  const planted = join(folder, 'data.token.draft')
  writeFileSync(planted, '', { mode: 0o666 })
  const descriptor = openSync(planted, 'r')
  const app = await startServer(
    readConfig({
      data: join(folder, 'data'),
      hubs: [{ name: 'plant', hosts: ['plant.test'] }],
      provisioning: { hosts: ['dps.test'] },
      listen: { address: '127.0.0.1', mqtt: 0, https: 0, amqp: 0 },
    }),
    { log: createLog({ level: 'silent' }) },
  )
  await app.close()
  assert.match(readFileSync(app.managementTokenFile, 'utf8'), /^holdfast_/)
  assert.equal(readFileSync(descriptor, 'utf8'), '')
  closeSync(descriptor)
  assert.equal(statSync(app.managementTokenFile).mode & 0o777, 0o600)
})
