import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { keepAlive, openSite, PLANT } from './site.ts'
import type { Site } from './site.ts'

const MAIN = join(import.meta.dirname, '..', '..', '..', 'cli', 'src', 'main.ts')
const run = promisify(execFile)

/** Runs `holdfast …` against the site and gives what it prints. */
async function commandLine(t: TestContext, { operator, ports }: Site) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-command-'))
  t.after(() => rm(folder, { recursive: true }))
  const [tokenFile, caFile] = [join(folder, 'token'), join(folder, 'ca.pem')]
  await writeFile(tokenFile, operator.token)
  await writeFile(caFile, operator.ca)
  const access = ['--url', `https://localhost:${ports.https}`, '--token-file', tokenFile, '--ca-file', caFile]
  return async (...args: string[]): Promise<string> => {
    const { stdout } = await run(process.execPath, ['--conditions=source', MAIN, ...args, ...access], {
      env: { ...process.env, NO_COLOR: '1' },
    })
    return stdout
  }
}

test('an operator sees the clone, its evidence and the way out on the command line', async (t) => {
  const site = await openSite(t)
  const holdfast = await commandLine(t, site)
  const identity = await site.device('press-1')
  assert.equal(await holdfast('alarms', '--hub', PLANT), 'no alarm\n')
  await holdfast('device', 'duplicates', 'press-1', 'quarantine', '--hub', PLANT)
  const older = await site.live('press-1', identity)
  keepAlive(older)
  await site.dial('press-1', identity, { from: '127.0.0.2' })
  await older.closed

  const [line = ''] = (await holdfast('alarms', '--device', 'press-1')).split('\n')
  assert.match(line, /! press-1 identity-duplicated: Device 'press-1' connected from 127\.0\.0\.2 port \d+ while/)
  const shown = await holdfast('alarms', line.split(' ').at(-1) ?? '')
  for (const part of ['from 127.0.0.1 port', 'from 127.0.0.2 port', 'CN=press-1', 'what to do'])
    assert.ok(shown.includes(part), `${part} in ${shown}`)
  assert.match(await holdfast('device', 'list', '--hub', PLANT), /^press-1 .* quarantined /m)
  assert.equal(await holdfast('device', 'release', 'press-1', '--hub', PLANT), "'press-1' is released\n")
  assert.equal((await site.live('press-1', identity)).packets.length, 0)
})
