import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { restoreBackup, verifyBackup } from '../../src/backup/restore.ts'
import { makeKeyFile } from '../../src/keys/key-file.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import { HUB, NOW, OTHER_HUB, bodyOf, device, event } from '../contract/nouns.ts'
import { openBench, openIn, random } from './bench-folder.ts'
import type { Bench } from './bench-folder.ts'

const BUDGET = { events: 100_000, bytes: 100_000_000 }
const CANARY = 'canary-of-the-coal-mine'
/** So small that the events of a test fill several. */
const SMALL_SEGMENTS = { segmentBytes: 64 * 1024, blockBytes: 8 * 1024 }

const bodies = async ({ stores }: Bench, hub = HUB, partition = 0): Promise<string[]> =>
  (await stores.telemetryLog.read(hub, partition, 0, BUDGET)).map((stored) => bodyOf(stored.event))

describe('a backup of a running server', () => {
  test('has everything that was acknowledged before it began, while more comes in', async (t) => {
    const bench = await openBench(t, SMALL_SEGMENTS)
    const { registry, telemetryLog } = bench.stores
    for (const id of ['a', 'b', 'c']) await registry.devices.create(device(id))
    let count = 0
    const end = new AbortController()
    const load = (async () => {
      while (!end.signal.aborted) {
        await Promise.all(
          Array.from({ length: 20 }, () => telemetryLog.append(0, event(`${count++} ${CANARY.padEnd(500, '.')}`))),
        )
      }
    })()
    while ((await telemetryLog.bounds(HUB, 0)).next < 2_000) await telemetryLog.append(1, event('between'))
    const { next: before } = await telemetryLog.bounds(HUB, 0)
    const path = await bench.backUp()
    const { next: after } = await telemetryLog.bounds(HUB, 0)
    end.abort()
    await load
    assert.ok(after > before, 'nothing came in meanwhile')
    assert.ok(readdirSync(join(bench.data, 'telemetry', HUB)).length > 3)

    const report = await restoreBackup(bench.source(path), join(bench.parent, 'restored'), NOW)
    assert.equal(report.devices, 3)
    const restored = await openIn(bench.parent, 'restored', SMALL_SEGMENTS)
    t.after(() => restored.close())
    const kept = await bodies(restored)
    assert.ok(kept.length >= before, `${kept.length} of ${before}`)
    assert.ok(kept.every((body, index) => body.startsWith(`${index} `)))
    assert.equal((await restored.stores.registry.devices.get(HUB, parseDeviceId('b')))?.deviceId, 'b')
    assert.deepEqual((await bodies(restored, HUB, 1)).at(-1), 'between')
    // Sequences go on where the backup ends.
    assert.equal((await restored.stores.telemetryLog.append(0, event('next'))).sequence, kept.length)
  })

  test('can be read by nobody without the key, and leaves nothing behind', async (t) => {
    const bench = await openBench(t)
    await bench.stores.registry.devices.create(device('device-with-a-name', { statusReason: CANARY }))
    await bench.stores.telemetryLog.append(0, event(CANARY))
    const bytes = readFileSync(await bench.backUp())
    for (const secret of [CANARY, 'device-with-a-name', 'SQLite format 3', readFileSync(join(bench.parent, 'kek'))])
      assert.equal(bytes.indexOf(secret), -1)
    assert.ok(!existsSync(join(bench.data, 'backup.staging')))
  })

  test('is one at a time, and a reader that goes away ends it', async (t) => {
    const bench = await openBench(t)
    const { bytes } = bench.backups.begin()
    await bytes.next()
    await bytes.next()
    assert.throws(() => bench.backups.begin(), { code: 'precondition-failed' })
    await assert.rejects(bench.keyring.addDataKey(), { code: 'precondition-failed', message: /backup is under way/ })
    await bytes.return(undefined)
    assert.ok(!existsSync(join(bench.data, 'backup.staging')))
    await bench.keyring.addDataKey()
    await bench.backUp()
  })

  test('one that nobody reads a byte of holds nothing up for good', async (t) => {
    const bench = await openBench(t)
    const { bytes } = bench.backups.begin()
    await bytes.return(undefined)
    await bench.keyring.addDataKey()
    await bench.backUp()
  })

  test('opens with the keys of its time after they have been turned over', async (t) => {
    const bench = await openBench(t)
    await bench.stores.telemetryLog.append(0, event('under the first key'))
    await bench.keyring.addDataKey()
    await bench.stores.telemetryLog.append(0, event('under the second key'))
    const path = await bench.backUp()
    const kek = readFileSync(join(bench.parent, 'kek'))
    await bench.keyring.rotateKek()
    await assert.rejects(verifyBackup(bench.source(path), bench.parent), /holds key .* but this data folder is sealed/)
    writeFileSync(join(bench.parent, 'old-kek'), kek, { mode: 0o600 })
    const report = await verifyBackup(
      { ...bench.source(path), key: { kind: 'file', path: join(bench.parent, 'old-kek') } },
      bench.parent,
    )
    assert.deepEqual(
      report.partitions.map(({ hub, partition, next }) => [hub, partition, next]),
      [[HUB, 0, 2]],
    )
  })

  test('of several hubs and an empty one comes back as it was', async (t) => {
    const bench = await openBench(t)
    for (const hub of [HUB, OTHER_HUB])
      for (const partition of [0, 1]) await bench.stores.telemetryLog.append(partition, event(hub, { hub }))
    const report = await restoreBackup(bench.source(await bench.backUp()), join(bench.parent, 'restored'), NOW)
    assert.equal(report.partitions.length, 4)
    const restored = await openIn(bench.parent, 'restored')
    t.after(() => restored.close())
    assert.deepEqual(await bodies(restored, OTHER_HUB, 1), [OTHER_HUB])
  })
})

describe('a restore', () => {
  test('refuses a folder that is not empty and leaves it as it is', async (t) => {
    const bench = await openBench(t)
    const path = await bench.backUp()
    const target = join(bench.parent, 'full')
    mkdirSync(target)
    writeFileSync(join(target, 'note'), 'mine')
    await assert.rejects(restoreBackup(bench.source(path), target, NOW), {
      code: 'argument-invalid',
      message: /not empty/,
    })
    assert.deepEqual(readdirSync(target), ['note'])
  })

  test('takes an empty folder, and gives nobody else a look', async (t) => {
    const bench = await openBench(t)
    const target = join(bench.parent, 'empty')
    mkdirSync(target, { mode: 0o755 })
    await restoreBackup(bench.source(await bench.backUp()), target, NOW)
    assert.equal(statSync(target).mode & 0o777, 0o700)
    for (const file of readdirSync(target, { recursive: true, withFileTypes: true })) {
      const mode = statSync(join(file.parentPath, file.name)).mode & 0o777
      assert.equal(mode, file.isDirectory() ? 0o700 : 0o600, file.name)
    }
  })

  test('refuses another key and a missing one', async (t) => {
    const bench = await openBench(t)
    const path = await bench.backUp()
    makeKeyFile(join(bench.parent, 'other'), random)
    const target = join(bench.parent, 'restored')
    for (const keyFile of ['other', 'nowhere'])
      await assert.rejects(
        restoreBackup({ ...bench.source(path), key: { kind: 'file', path: join(bench.parent, keyFile) } }, target, NOW),
        {
          message: /key file .*(is missing|holds key)/,
        },
      )
    assert.deepEqual([existsSync(target), existsSync(`${target}.restoring`)], [false, false])
  })

  test('finds every damage before it touches anything', async (t) => {
    const bench = await openBench(t)
    await bench.stores.telemetryLog.append(0, event('x'.repeat(3_000_000)))
    const good = readFileSync(await bench.backUp())
    const other = readFileSync(await bench.backUp('other'))
    const chunks = chunksOf(good)
    assert.ok(chunks.length > 3)
    const [head, first, second, ...rest] = chunks as [Buffer, Buffer, Buffer, ...Buffer[]]
    const flipped = (at: number): Buffer => {
      const copy = Buffer.from(good)
      copy[at] = (copy[at] ?? 0) ^ 1
      return copy
    }
    const target = join(bench.parent, 'restored')
    const damages = {
      'a flipped byte in the middle': flipped(good.length >> 1),
      'a flipped byte at the end': flipped(good.length - 1),
      'a flipped byte of the creation time': flipped(good.indexOf('createdTime') + 15),
      'a byte missing at the end': good.subarray(0, -1),
      'the end cut off at a chunk': Buffer.concat(chunks.slice(0, -1)),
      'the last chunk marked so where it is not': Buffer.concat([head, first, asLast(second)]),
      'chunks in another order': Buffer.concat([head, second, first, ...rest]),
      'a chunk twice': Buffer.concat([head, first, first, second, ...rest]),
      'a chunk left out': Buffer.concat([head, second, ...rest]),
      'a chunk of another backup': Buffer.concat([head, chunksOf(other)[1] ?? good, second, ...rest]),
      'the chunks of another backup': Buffer.concat([head, ...chunksOf(other).slice(1)]),
      'something after the end': Buffer.concat([good, Buffer.from('!')]),
      'nothing at all': Buffer.alloc(0),
      'another kind of file': Buffer.from('PK\u0003\u0004 and so on and on'),
      'a huge header': Buffer.concat([Buffer.from('holdfast-backup-1\n'), Buffer.alloc(8, 255)]),
    }
    for (const [name, bytes] of Object.entries(damages)) {
      const path = join(bench.parent, 'damaged')
      writeFileSync(path, bytes)
      await assert.rejects(restoreBackup(bench.source(path), target, NOW), { code: /format-invalid|internal/ }, name)
      assert.deepEqual([existsSync(target), existsSync(`${target}.restoring`)], [false, false], name)
    }
  })

  test('starts anew over what an interrupted one left', async (t) => {
    const bench = await openBench(t)
    const path = await bench.backUp()
    mkdirSync(join(bench.parent, 'restored.restoring', 'telemetry'), { recursive: true })
    writeFileSync(join(bench.parent, 'restored.restoring', 'registry.db'), 'half')
    await restoreBackup(bench.source(path), join(bench.parent, 'restored'), NOW)
    rmSync(join(bench.parent, 'restored'), { recursive: true })
  })
})

/** The header, and then each chunk with its length. */
function chunksOf(backup: Buffer): Buffer[] {
  let at = 18 + 4 + backup.readUInt32BE(18)
  const parts = [backup.subarray(0, at)]
  while (at < backup.length) {
    const end = at + 4 + (backup.readUInt32BE(at) & 0x7fff_ffff)
    parts.push(backup.subarray(at, end))
    at = end
  }
  return parts
}

function asLast(chunk: Buffer): Buffer {
  const copy = Buffer.from(chunk)
  copy[0] = (copy[0] ?? 0) | 0x80
  return copy
}
