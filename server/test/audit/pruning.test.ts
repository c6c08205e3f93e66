import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { AuditLog } from '../../src/audit/audit-log.ts'
import { Chain } from '../../src/audit/chain.ts'
import type { Checkpoint } from '../../src/audit/checkpoint.ts'
import { readLine } from '../../src/audit/entry.ts'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { digestOf, segmentsOf } from '../../src/audit/segments.ts'
import { SigningKeys } from '../../src/audit/signing-key.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { act, copyOf, linesIn, NO_ANCHORS, openLog, tempFolder, time } from './workbench.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const BY = { who: { name: 'ada', role: 'owner', method: 'token' }, from: null, trackingId: null } as const
/** A few entries fill a file. */
const SMALL = { segmentBytes: 2_000 }

/** Files of a log, oldest first. */
function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .toSorted()
}

/** Moves what may go into `archive`, as an operator does. */
async function archiveAndPrune(log: AuditLog, folder: string, archive: string, files: number): Promise<number> {
  const closed = (await log.closedSegments()).slice(0, files)
  const upTo = closed.at(-1)?.last ?? 0
  const gone = segmentsOf(folder).slice(0, files)
  mkdirSync(archive, { recursive: true })
  for (const { path } of gone) writeFileSync(join(archive, path.slice(folder.length)), readFileSync(path))
  await log.prune({ upTo, sha256: await digestOf(gone) }, BY)
  return upTo
}

async function grown(t: TestContext, entries = 60): Promise<{ folder: string; log: AuditLog; early: Checkpoint }> {
  const folder = join(await tempFolder(t), 'log')
  const log = await openLog(folder, SMALL)
  await log.append(act('authority.register'))
  const early = await log.checkpoint()
  for (let count = 0; count < entries; count++) await log.append(act('device.put'))
  return { folder, log, early }
}

function rules(folders: string | readonly string[], anchors = NO_ANCHORS): string[] {
  return verifyAuditLog(folders, anchors).findings.map(({ rule, sequence }) => `${rule} ${sequence}`)
}

test('the older part is taken off, says so itself, and both parts verify together and what is left alone', async (t) => {
  const { folder, log, early } = await grown(t)
  const archive = `${folder}-archive`
  const first = await archiveAndPrune(log, folder, archive, 2)
  await log.rotateKey(BY)
  await log.append(act('authority.delete'))
  const second = await archiveAndPrune(log, folder, archive, 2)
  assert.ok(second > first)
  assert.equal(log.facts().first, second + 1)
  const [line = ''] = await log.read({ after: 0, limit: 1 })
  assert.equal((readLine(line) as AuditEntry).sequence, second + 1)
  await log.close()

  const left = verifyAuditLog(folder, NO_ANCHORS)
  assert.deepEqual([left.findings, left.first, left.pruned], [[], second + 1, second])
  const whole = verifyAuditLog([folder, archive], { checkpoints: [early], publicKey: early.publicKey })
  assert.deepEqual([whole.findings, whole.first, whole.pruned], [[], 1, 0])
  assert.equal(whole.entries, left.last)
  assert.deepEqual(rules([archive]), [])
  assert.deepEqual(rules(folder, { checkpoints: [early], publicKey: null }), [`archive-needed ${early.sequence}`])

  // A start goes on where it was.
  const again = await openLog(folder, SMALL)
  await again.append(act('device.put'))
  await again.close()
  assert.deepEqual(rules([archive, folder], { checkpoints: [early], publicKey: null }), [])
})

test('copies that overlap are read once, and must say the same', async (t) => {
  const { folder, log, early } = await grown(t)
  const whole = copyOf(folder, `${folder}-whole`)
  await archiveAndPrune(log, folder, `${folder}-archive`, 2)
  await log.close()
  const anchors = { checkpoints: [early], publicKey: null }
  assert.deepEqual(rules([whole, folder, `${folder}-archive`], anchors), [])
  const [second = ''] = filesIn(whole).slice(1)
  const path = join(whole, second)
  writeFileSync(path, readFileSync(path, 'utf8').replace('"act":"device.put"', '"act":"device.get"'))
  const found = rules([whole, folder, `${folder}-archive`], anchors)
  assert.ok(
    found.some((rule) => rule.startsWith('inserted ')),
    found.join(),
  )
})

test('only who holds every byte of whole files takes them off', async (t) => {
  const { folder, log } = await grown(t)
  const [file] = await log.closedSegments()
  assert.ok(file !== undefined)
  const before = linesIn(folder)
  const sha256 = await digestOf(segmentsOf(folder).slice(0, 1))
  await assert.rejects(log.prune({ upTo: file.last, sha256: 'a'.repeat(64) }, BY), {
    code: 'precondition-failed',
    message: /Nothing was pruned/,
  })
  for (const upTo of [0, file.last - 1, log.facts().sequence, 1e9])
    await assert.rejects(log.prune({ upTo, sha256 }, BY), { code: 'argument-invalid' })
  const twice = await Promise.allSettled([1, 2].map(() => log.prune({ upTo: file.last, sha256 }, BY)))
  assert.deepEqual(twice.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
  await log.close()
  assert.deepEqual(linesIn(folder).slice(0, before.length - file.last), before.slice(file.last))
})

test('every tampering at the boundary between the archive and what is left is named', async (t) => {
  const { folder, log } = await grown(t)
  const archive = `${folder}-archive`
  const upTo = await archiveAndPrune(log, folder, archive, 2)
  await log.append(act('authority.delete'))
  const { first } = log.facts()
  await log.close()
  assert.deepEqual(rules([archive, folder]), [])
  const tampered = (change: (left: string, gone: string) => void, folders: 'left' | 'both' = 'both'): string[] => {
    const [left, gone] = [copyOf(folder, `${folder}-x`), copyOf(archive, `${archive}-x`)]
    change(left, gone)
    const found = rules(folders === 'left' ? [left] : [gone, left])
    for (const each of [left, gone]) rmSync(each, { recursive: true })
    return found
  }
  const edit = (path: string, make: (lines: string[]) => string[]): void => {
    const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
    writeFileSync(
      path,
      make(lines)
        .map((line) => `${line}\n`)
        .join(''),
    )
  }
  const oldest = (of: string): string => join(of, filesIn(of)[0] ?? '')
  const newest = (of: string): string => join(of, filesIn(of).at(-1) ?? '')
  const changed = (line = ''): string => line.replace('"act":"', '"act":"x')

  // What is left, alone: another file or the first line of it gone, the checkpoint at its beginning altered.
  assert.ok(tampered((left) => rmSync(oldest(left)), 'left').includes('removed 1'))
  assert.ok(tampered((left) => edit(oldest(left), (lines) => lines.slice(1)), 'left').includes('removed 1'))
  const altered = tampered((left) => edit(oldest(left), (lines) => [changed(lines[0]), ...lines.slice(1)]), 'left')
  assert.ok(altered.includes(`changed ${first}`), altered.join())
  // The entry that tells of the pruning gone, or altered.
  for (const make of [
    (lines: string[]) => lines.filter((line) => !line.includes('"act":"audit.pruned"')),
    (lines: string[]) => lines.map((line) => line.replace(`"upTo":${upTo}`, `"upTo":${upTo - 1}`)),
  ]) {
    const found = tampered((left) => {
      for (const name of filesIn(left)) edit(join(left, name), make)
    }, 'left')
    assert.ok(
      found.some((rule) => rule.startsWith('removed 1')),
      found.join(),
    )
  }
  // The archive: its end or its beginning cut off, its last entry altered, one inserted, two swapped.
  assert.deepEqual(
    tampered((_, gone) => edit(newest(gone), (lines) => lines.slice(0, -1))),
    [`removed ${upTo}`],
  )
  assert.ok(tampered((_, gone) => edit(oldest(gone), (lines) => lines.slice(1))).includes('removed 1'))
  assert.ok(
    tampered((_, gone) => edit(newest(gone), (lines) => [...lines.slice(0, -1), changed(lines.at(-1))])).includes(
      `changed ${upTo}`,
    ),
  )
  assert.ok(
    tampered((_, gone) => edit(newest(gone), (lines) => [...lines, changed(lines.at(-1))])).includes(
      `inserted ${upTo}`,
    ),
  )
  assert.ok(
    tampered((_, gone) =>
      edit(newest(gone), (lines) => lines.toSpliced(-2, 2, lines.at(-1) ?? '', lines.at(-2) ?? '')),
    ).includes(`moved ${upTo}`),
  )
  // The archive of another log in its place.
  const other = await grown(t)
  await other.log.close()
  const foreign = tampered((_, gone) => {
    for (const name of filesIn(gone)) rmSync(join(gone, name))
    const lines = linesIn(other.folder).slice(0, upTo)
    writeFileSync(join(gone, '000000000001.jsonl'), lines.map((line) => `${line}\n`).join(''))
  })
  assert.ok(
    foreign.some((rule) => /^(changed|rewritten|key-unknown)/.test(rule)),
    foreign.join(),
  )
})

test('who deletes the beginning and appends that it was pruned, without the key, is found out', async (t) => {
  const { folder, log } = await grown(t)
  await log.close()
  const [oldest = ''] = filesIn(folder)
  rmSync(join(folder, oldest))
  const [first = ''] = linesIn(folder)
  const start = (readLine(first) as AuditEntry).sequence
  const last = readLine(linesIn(folder).at(-1) ?? '') as AuditEntry
  const { sequence, hash, time: at } = last
  const key = new SigningKeys(`${folder}-forger`, { read: () => null, write: () => {} }).make()
  const forged = new Chain({ sequence, hash, time: at, unsigned: 0 }, key, time.now)
  forged.add({ ...BY, kind: 'event', act: 'audit.pruned', detail: { from: 1, upTo: start - 1 } })
  const path = join(folder, filesIn(folder).at(-1) ?? '')
  writeFileSync(path, `${readFileSync(path, 'utf8')}${forged.lines.join('\n')}\n`)
  assert.deepEqual(rules(folder), ['removed 1'])
  forged.checkpoint()
  writeFileSync(path, `${readFileSync(path, 'utf8')}${forged.lines.at(-1)}\n`)
  assert.deepEqual(rules(folder), [`key-unknown ${sequence + 2}`, 'removed 1'])
})

test('a crash after the entry leaves files behind: all is as it was, and the next time takes them', async (t) => {
  const { folder, log } = await grown(t)
  const gone = segmentsOf(folder).slice(0, 3)
  const bytes = gone.map(({ path }) => readFileSync(path))
  const upTo = (await log.closedSegments())[2]?.last ?? 0
  const sha256 = await digestOf(gone)
  await log.prune({ upTo, sha256 }, BY)
  await log.close()
  // As if the power had failed after the first of the three was deleted.
  for (const [index, { path }] of gone.entries()) if (index > 0) writeFileSync(path, bytes[index] ?? '')
  assert.deepEqual(rules(folder), [])
  const again = await openLog(folder, SMALL)
  const rest = segmentsOf(folder).filter(({ first }) => first <= upTo)
  assert.equal(rest.length, 2)
  await again.prune({ upTo, sha256: await digestOf(rest) }, BY)
  await again.close()
  assert.deepEqual(rules(folder), [])
  assert.equal(filesIn(folder)[0], `${String(upTo + 1).padStart(12, '0')}.jsonl`)
})

test('a file ends after thirty days, and the size is told', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  const told = new PassThrough()
  const metrics = new Metrics()
  const log = createLog({ level: 'warn', destination: told })
  const audit = await openLog(folder, { metrics, warnBytes: 2_000, log })
  await audit.append(act('device.put'))
  time.now += 31 * DAY_MS
  await audit.append(act('device.put'))
  const [closed, ...others] = await audit.closedSegments()
  assert.deepEqual([closed?.first, others.length], [1, 0])
  assert.ok(Date.parse(closed?.until ?? '') <= time.now)
  for (let count = 0; count < 10; count++) await audit.append(act('device.put'))
  const { bytes } = audit.facts()
  assert.match(await metrics.registry.metrics(), new RegExp(`holdfast_audit_log_bytes ${bytes}\\n`))
  assert.equal(bytes, linesIn(folder).join('\n').length + 1)
  await audit.close()
  assert.match(String(told.read()), /the audit log has grown large: 'holdfast audit prune'/)
})
