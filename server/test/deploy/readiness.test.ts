import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Readiness } from '../../src/app/readiness.ts'
import type { ReadinessParts } from '../../src/app/readiness.ts'
import { openAppendFile } from '../../src/audit/append-file.ts'
import { Metrics } from '../../src/metrics.ts'
import { HUB, makeFolder } from '../at-rest/whole-folder.ts'
import type { Started } from '../at-rest/whole-folder.ts'
import { LogLines } from './log-lines.ts'

const READY = { status: 200, text: '{"status":"ready"}' }
const NOT_READY = { status: 503, text: '{"status":"not-ready"}' }

async function readyz(server: Started): Promise<{ status: number; text: string }> {
  const { status, text } = await server.ask({ host: 'plant.test', method: 'GET', path: '/readyz' })
  return { status, text }
}

test('a server whose audit log cannot be written is not ready until it can', async (t) => {
  let isRefusing = false
  const written = new LogLines('info')
  const server = await makeFolder(t).start({
    environment: {
      log: written.log,
      openAuditFile: async (path) => {
        const file = await openAppendFile(path)
        return {
          ...file,
          write: async (bytes, position) => {
            if (isRefusing) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
            await file.write(bytes, position)
          },
        }
      },
    },
  })
  assert.deepEqual(await readyz(server), READY)
  isRefusing = true
  const put = server.operate('PUT', `/hubs/${HUB}/devices/d`, { authentication: { type: 'sas' } })
  await assert.rejects(put, /507/)
  assert.deepEqual(await readyz(server), NOT_READY)
  assert.deepEqual((await written.saying('not ready'))['reasons'], ['audit-unwritable'])
  isRefusing = false
  await server.operate('PUT', `/hubs/${HUB}/devices/d`, { authentication: { type: 'sas' } })
  assert.deepEqual(await readyz(server), READY)
  await written.saying('ready again')
})

const place = mkdtempSync(join(tmpdir(), 'holdfast-ready-'))
const disk = join(place, 'disk')
mkdirSync(disk)
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'holdfast-test', disk])
const skip = mounted.status === 0 ? false : 'a small file system cannot be mounted here: run as root'

test('a server whose disk is full is not ready until there is room', { skip }, async (t) => {
  const folder = makeFolder(t, disk)
  const server = await folder.start()
  assert.deepEqual(await readyz(server), READY)
  const ballast = join(disk, 'ballast')
  writeFileSync(ballast, Buffer.alloc(70 * 1024 * 1024, 1))
  assert.deepEqual(await readyz(server), NOT_READY)
  const { text } = await server.ask({
    host: 'plant.test',
    method: 'GET',
    path: '/metrics',
    headers: { authorization: `Bearer ${server.token}` },
  })
  assert.match(text, /^holdfast_not_ready\{reason="disk-full"\} 1$/m)
  assert.match(text, /^holdfast_not_ready\{reason="audit-unwritable"\} 0$/m)
  rmSync(ballast)
  assert.deepEqual(await readyz(server), READY)
})

after(() => {
  if (mounted.status === 0) spawnSync('umount', [disk])
  rmSync(place, { recursive: true, force: true })
})

test('a store that failed, one that does not answer, and a stop are each a reason', async () => {
  const metrics = new Metrics()
  const parts = (changes: Partial<ReadinessParts>): Readiness =>
    new Readiness({
      data: tmpdir(),
      settings: { get: async () => null },
      audit: { facts: () => ({ trouble: null }) as ReturnType<ReadinessParts['audit']['facts']> },
      accepting: () => true,
      hasFailed: () => false,
      metrics,
      log: new LogLines('silent').log,
      ...changes,
    })
  const shown = async (): Promise<string[]> => {
    const { values } = await metrics.notReady.get()
    return values.filter(({ value }) => value === 1).map(({ labels }) => String(labels.reason))
  }
  assert.equal(await parts({}).isReady(), true)
  assert.deepEqual(await shown(), [])
  assert.equal(await parts({ hasFailed: () => true }).isReady(), false)
  assert.deepEqual(await shown(), ['storage-failed'])
  assert.equal(await parts({ settings: { get: () => Promise.reject(new Error('gone')) } }).isReady(), false)
  assert.deepEqual(await shown(), ['storage-failed'])
  assert.equal(await parts({ accepting: () => false }).isReady(), false)
  assert.deepEqual(await shown(), ['stopping'])
})
