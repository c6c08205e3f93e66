import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SpawnedServer } from '../e2e/spawned-server.ts'
import { HUB, HUB_HOST } from '../e2e/whole-server.ts'
import { makeRoot } from '../http/certificates.ts'
import { sendAs } from './send.ts'
import { FIXTURES } from './made-by-release.ts'
import type { Facts } from './made-by-release.ts'

/**
 * Run once for each release, by its own code, just before it is tagged; the folder it writes is never written again.
 * `node --conditions=source server/test/upgrade/write-fixture.ts`
 */
const { version: release } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}
const parent = mkdtempSync(join(tmpdir(), 'holdfast-release-'))
const server = await SpawnedServer.start(join(parent, 'data'), {
  hubs: [{ name: HUB, hosts: [HUB_HOST], partitions: 2 }],
})
try {
  const { operator } = server
  const key = randomBytes(32).toString('base64')
  await operator.registerAuthority(HUB, 'root', await makeRoot('Plant root'))
  await operator.createDevice(HUB, 'by-certificate')
  const symmetricKey = { primaryKey: key, secondaryKey: key }
  await operator.createDevice(HUB, 'by-key', { type: 'sas', symmetricKey })
  await operator.setStatus(HUB, 'by-certificate', 'disabled')
  await operator.enroll('enrolled', { attestation: { type: 'symmetricKey', symmetricKey } })
  const events = ['first', 'second', 'third']
  for (const body of events) await sendAs(operator, 'by-key', key, body)
  const { primaryKey: servicePolicyKey } = await operator.hubKey(HUB, 'service')
  const facts: Facts = { release, idScope: operator.idScope, deviceKey: key, servicePolicyKey, events }
  writeFileSync(join(parent, 'facts.json'), JSON.stringify(facts, null, 2))
  await server.stop()
  const members = ['data', 'data.key', 'facts.json']
  const { status, stderr } = spawnSync('tar', ['-czf', join(FIXTURES, `${release}.tar.gz`), '-C', parent, ...members])
  assert.equal(status, 0, String(stderr))
} finally {
  await server.kill()
  rmSync(parent, { recursive: true })
}
