import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { openAppendFile } from '../../src/audit/append-file.ts'
import type { OpenAppendFile } from '../../src/audit/append-file.ts'
import { readLine } from '../../src/audit/entry.ts'
import { act, copyOf, linesIn, openLog, rulesOf, tempFolder, time } from './workbench.ts'

const APPENDER = fileURLToPath(new URL('appender.ts', import.meta.url))

test(
  'killed in the middle of an append, again and again, it keeps what it acknowledged',
  { timeout: 60_000 },
  async (t) => {
    const folder = join(await tempFolder(t), 'log')
    for (const acknowledgements of [1, 7, 30]) {
      const child = spawn(process.execPath, ['--conditions=source', APPENDER, folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let last = 0
      let seen = 0
      for await (const line of createInterface(child.stdout)) {
        last = Number(line)
        if (++seen === acknowledgements) child.kill('SIGKILL')
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      assert.equal(child.signalCode, 'SIGKILL')
      time.now = Date.now()
      const log = await openLog(folder)
      assert.ok(log.facts().sequence >= last, `${log.facts().sequence} entries of ${last} acknowledged`)
      await log.append(act('device.delete'))
      await log.close()
      assert.deepEqual(rulesOf(folder), [])
    }
  },
)

test('what is on its way to the disk when the log closes is written and signed', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  const log = await openLog(folder)
  await log.append(act('device.put'))
  await log.checkpoint()
  assert.equal(log.facts().unsigned, 0)
  log.note({ ...act('server.stopped'), kind: 'event' })
  await log.close()
  assert.deepEqual([log.facts().unsigned, log.facts().waiting, log.facts().trouble], [0, 0, null])
  const entries = linesIn(folder).map((line) => readLine(line))
  assert.deepEqual(
    entries.slice(-2).map((entry) => typeof entry === 'object' && entry.act),
    ['server.stopped', 'checkpoint'],
  )
  assert.deepEqual(rulesOf(folder), [])
})

test('an append that was torn at any byte is set aside, kept and written down', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  const log = await openLog(folder)
  await log.append(act('device.put'))
  await log.append(act('device.delete'))
  await log.close()
  const [file = ''] = readdirSync(folder).filter((name) => name.endsWith('.jsonl'))
  const whole = readFileSync(join(folder, file))
  const lastLine = whole.lastIndexOf(10, whole.length - 2) + 1
  for (let length = lastLine + 1; length < whole.length; length += 37) {
    const copy = copyOf(folder, `${folder}-${length}`)
    truncateSync(join(copy, file), length)
    assert.ok(rulesOf(copy).some((rule) => rule.startsWith('unfinished')))
    const again = await openLog(copy)
    await again.append(act('authority.delete'))
    await again.close()
    assert.deepEqual(rulesOf(copy), [])
    const entries = linesIn(copy).map((line) => readLine(line))
    const set = entries.find((entry) => typeof entry !== 'string' && entry.act === 'audit.set-aside')
    assert.ok(typeof set === 'object')
    const { file: aside, bytes } = set.detail as { file: string; bytes: number }
    assert.equal(bytes, length - lastLine)
    assert.deepEqual(readFileSync(join(copy, aside)), whole.subarray(lastLine, length))
  }
})

test('a file that grew before its bytes arrived ends where its entries end', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  const log = await openLog(folder)
  await log.append(act('device.put'))
  await log.close()
  const [file = ''] = readdirSync(folder).filter((name) => name.endsWith('.jsonl'))
  const path = join(folder, file)
  writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(700), Buffer.from('"}\n')]))
  const again = await openLog(folder)
  await again.append(act('device.delete'))
  await again.close()
  assert.deepEqual(rulesOf(folder), [])
})

test('what a crash cannot explain is left as it is, and nothing is done any more', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  const log = await openLog(folder)
  await log.append(act('device.put'))
  await log.append(act('device.delete'))
  await log.close()
  const [file = ''] = readdirSync(folder).filter((name) => name.endsWith('.jsonl'))
  const path = join(folder, file)
  const edited = readFileSync(path, 'utf8').replace('"act":"device.put"', '"act":"device.get"')
  writeFileSync(path, edited)
  const again = await openLog(folder)
  await assert.rejects(again.append(act('authority.delete')), {
    name: 'HubError',
    code: 'internal',
    message: /damaged/,
  })
  await again.close()
  assert.equal(readFileSync(path, 'utf8'), edited)
  assert.deepEqual(rulesOf(folder), ['changed 2'])
})

test('a full disk refuses acts, keeps events, and goes on without a gap when there is room again', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  let isFull = false
  const openFile: OpenAppendFile = async (path) => {
    const file = await openAppendFile(path)
    const write: typeof file.write = async (bytes, position) => {
      if (!isFull) return file.write(bytes, position)
      // As much as there is room for arrives.
      await file.write(bytes.subarray(0, bytes.length / 2), position)
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    }
    return { ...file, write }
  }
  const log = await openLog(folder, { openFile })
  await log.append(act('device.put'))
  isFull = true
  await assert.rejects(log.append(act('authority.delete')), { code: 'storage-full', message: /nothing was changed/ })
  log.note({ ...act('login.failed'), kind: 'event' })
  await assert.rejects(log.append(act('device.delete')), { code: 'storage-full' })
  assert.equal(log.facts().sequence, 2)
  isFull = false
  await log.append(act('device.release'))
  await log.close()
  assert.deepEqual(rulesOf(folder), [])
  const acts = linesIn(folder)
    .map((line) => readLine(line))
    .map((entry) => (typeof entry === 'string' ? entry : entry.act))
  assert.deepEqual(acts, ['audit.began', 'device.put', 'login.failed', 'device.release', 'checkpoint'])
})

test('after a failed flush nothing is appended until a start has read what is there', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  let fails = false
  const openFile: OpenAppendFile = async (path) => {
    const file = await openAppendFile(path)
    return { ...file, sync: () => (fails ? Promise.reject(new Error('EIO: i/o error, fsync')) : file.sync()) }
  }
  const log = await openLog(folder, { openFile })
  await log.append(act('device.put'))
  fails = true
  await assert.rejects(log.append(act('authority.delete')), { code: 'internal' })
  fails = false
  await assert.rejects(log.append(act('authority.delete')), { code: 'internal', message: /start the server anew/ })
  await log.close()
  const again = await openLog(folder)
  await again.append(act('device.delete'))
  await again.close()
  assert.deepEqual(rulesOf(folder), [])
})

test('a clock that jumps back is told, and the order stays', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  const log = await openLog(folder)
  const first = await log.append(act('device.put'))
  time.now -= 500
  const adjusted = await log.append(act('device.put'))
  assert.equal(adjusted.time, first.time)
  time.now -= 3_600_000
  const later = await log.append(act('device.delete'))
  await log.close()
  assert.equal(later.sequence, adjusted.sequence + 2)
  assert.ok(later.time < first.time)
  assert.deepEqual(rulesOf(folder), [])
})

test('a log goes on over its files, and reads the same from any place', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  const log = await openLog(folder)
  const detail = { text: 'x'.repeat(50_000) }
  for (let batch = 0; batch < 6; batch++)
    await Promise.all(Array.from({ length: 20 }, () => log.append({ ...act('device.put'), detail })))
  await log.close()
  assert.ok(readdirSync(folder).filter((name) => name.endsWith('.jsonl')).length > 1)
  const lines = linesIn(folder)
  const again = await openLog(folder)
  for (const after of [0, 1, 83, 84, 85, 86, lines.length - 1, lines.length])
    assert.deepEqual(await again.read({ after, limit: 7 }), lines.slice(after, after + 7), `after ${after}`)
  await again.close()
  assert.deepEqual(rulesOf(folder), [])
})

test('keys that follow one another survive a crash between the key file and the entry', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  const log = await openLog(folder)
  await log.append(act('device.put'))
  const path = join(folder, 'signing-keys.sealed')
  const old = readFileSync(path, 'utf8')
  await log.rotateKey(act('audit.rotate-key'))
  await log.close()
  const next = readFileSync(path, 'utf8')
  // As if the crash came before the old key was taken away.
  writeFileSync(path, `${old}\n${next}`)
  const again = await openLog(folder)
  await again.checkpoint()
  await again.close()
  assert.deepEqual(rulesOf(folder), [])
  copyFileSync(path, `${path}.copy`)
  writeFileSync(path, old)
  await assert.rejects(openLog(folder), /is missing/)
})
