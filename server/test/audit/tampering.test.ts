import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Chain } from '../../src/audit/chain.ts'
import { publicKeyText, signCheckpoint } from '../../src/audit/checkpoint.ts'
import type { Checkpoint } from '../../src/audit/checkpoint.ts'
import { canonicalJson } from '../../src/audit/canonical-json.ts'
import type { Json } from '../../src/audit/canonical-json.ts'
import { hashOf, readLine } from '../../src/audit/entry.ts'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { act, copyOf, linesIn, NO_ANCHORS, openLog, rulesOf, tempFolder, time, writeLines } from './workbench.ts'

interface Sample {
  readonly folder: string
  readonly lines: readonly string[]
  readonly entries: readonly AuditEntry[]
  readonly anchor: Checkpoint
}

/** Entries of every kind: the first key, acts, an event, a checkpoint, another key, a clock that went back. */
async function sample(t: TestContext): Promise<Sample> {
  const folder = join(await tempFolder(t), 'log')
  const log = await openLog(folder)
  for (const name of ['authority.register', 'authority.prove', 'device.put']) {
    const { sequence } = await log.append(act(name))
    time.now += 1_000
    await log.append(act(name, sequence))
  }
  await log.checkpoint()
  await log.append({ ...act('alarm.raised'), kind: 'event' })
  await log.rotateKey(act('audit.rotate-key'))
  time.now -= 60_000
  await log.append(act('authority.delete'))
  await log.append(act('device.delete'))
  const anchor = await log.checkpoint()
  await log.append(act('device.put'))
  await log.close()
  const lines = linesIn(folder)
  const entries = lines.map((line) => readLine(line)).filter((entry) => typeof entry !== 'string')
  assert.equal(entries.length, lines.length)
  return { folder, lines, entries, anchor }
}

test('a log that nobody touched is found good', async (t) => {
  const { folder, entries, anchor } = await sample(t)
  const verdict = verifyAuditLog(folder, { checkpoints: [anchor], publicKey: anchor.publicKey })
  assert.deepEqual(verdict.findings, [])
  assert.equal(verdict.entries, entries.length)
  assert.equal(verdict.signedUpTo, entries.length - 1)
  assert.equal(verdict.keys.length, 2)
  const kinds = new Set(entries.map(({ kind }) => kind))
  assert.deepEqual([...kinds].toSorted(), ['checkpoint', 'event', 'intent', 'key', 'outcome'])
  assert.ok(entries.some(({ act: name }) => name === 'clock.went-back'))
})

test('whatever is changed, removed, inserted, swapped or copied, at every place, is named', async (t) => {
  const { folder, lines, anchor } = await sample(t)
  const copy = copyOf(folder, `${folder}-copy`)
  const anchors = { checkpoints: [anchor], publicKey: null }
  const tamper = (changed: readonly string[]): string[] => {
    writeLines(copy, changed)
    return rulesOf(copy, anchors)
  }
  for (const [index, line] of lines.entries()) {
    const sequence = index + 1
    const edited = line.replace('"act":"', '"act":"x')
    assert.ok(tamper(lines.with(index, edited)).includes(`changed ${sequence}`), `changed ${sequence}`)
    const garbled = tamper(lines.with(index, `${line.slice(0, 40)}~${line.slice(41)}`))
    assert.ok(
      garbled.some((rule) => [`changed ${sequence}`, `unreadable ${sequence}`].includes(rule)),
      `garbled ${sequence}: ${garbled.join()}`,
    )
    const removed = tamper(lines.toSpliced(index, 1))
    const expected = sequence === lines.length ? [] : [`removed ${sequence}`]
    assert.deepEqual(
      removed.filter((rule) => rule.startsWith('removed')),
      expected,
      `removed ${sequence}`,
    )
    const forged = rehash({ ...entryOf(line), act: 'forged' })
    const inserted = tamper(lines.toSpliced(index, 0, forged))
    assert.deepEqual(inserted, [`inserted ${sequence}`], `inserted ${sequence}`)
    const copied = tamper(lines.toSpliced(index, 0, line))
    assert.deepEqual(copied, [`inserted ${sequence}`], `copied ${sequence}`)
    if (index === 0) continue
    const swapped = tamper(lines.with(index, lines[index - 1] ?? '').with(index - 1, line))
    assert.ok(swapped.includes(`moved ${sequence}`), `swapped ${sequence}: ${swapped.join()}`)
  }
})

test('an entry whose hash was made anew is named by the one after it', async (t) => {
  const { folder, lines } = await sample(t)
  for (const index of lines.keys()) {
    if (index === lines.length - 1) continue
    writeLines(folder, lines.with(index, rehash({ ...entryOf(lines[index] ?? ''), trackingId: 'e'.repeat(32) })))
    assert.ok(rulesOf(folder).includes(`changed ${index + 1}`), `entry ${index + 1}: ${rulesOf(folder).join()}`)
  }
})

test('a chain made anew from an entry on contradicts the next signed checkpoint', async (t) => {
  const { folder, lines, entries } = await sample(t)
  for (const index of lines.keys()) {
    const isSigned = entries.some(({ kind }, at) => kind === 'checkpoint' && at > index)
    if (!isSigned) continue
    const rewritten = lines.slice(0, index)
    let previous = entries[index - 1]?.hash ?? '0'.repeat(64)
    for (const [at, entry] of entries.slice(index).entries()) {
      const line = rehash({ ...entry, previous, ...(at === 0 && { trackingId: 'e'.repeat(32) }) })
      previous = entryOf(line).hash
      rewritten.push(line)
    }
    writeLines(folder, rewritten)
    const rules = rulesOf(folder)
    assert.ok(
      rules.some((rule) => /^(rewritten|signature-wrong|key-unknown)/.test(rule)),
      `from entry ${index + 1}: ${rules.join()}`,
    )
  }
})

test('a log without its end is found out by a checkpoint that was kept elsewhere, and by nothing else', async (t) => {
  const { folder, lines, anchor } = await sample(t)
  for (let kept = anchor.sequence; kept < lines.length; kept++) {
    writeLines(folder, lines.slice(0, kept))
    assert.deepEqual(
      rulesOf(folder, { checkpoints: [anchor], publicKey: null }),
      [],
      `${kept} entries hold the signed one`,
    )
  }
  writeLines(folder, lines.slice(0, anchor.sequence - 1))
  assert.deepEqual(rulesOf(folder), [])
  assert.deepEqual(rulesOf(folder, { checkpoints: [anchor], publicKey: null }), [`cut-off ${anchor.sequence - 1}`])
})

test('a whole log made anew with another key is not the one of the kept checkpoint or public key', async (t) => {
  const { folder, lines, anchor } = await sample(t)
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const key = { privateKey, publicKey: publicKeyText(publicKey), id: '0'.repeat(64) }
  const chain = new Chain({ sequence: 0, hash: '0'.repeat(64), time: null, unsigned: 0 }, key, time.now)
  chain.begin()
  while (chain.end.sequence < lines.length) chain.add(act('device.put'))
  chain.checkpoint()
  writeLines(folder, chain.lines)
  assert.deepEqual(rulesOf(folder), [])
  assert.deepEqual(rulesOf(folder, { ...NO_ANCHORS, publicKey: anchor.publicKey }), ['key-unknown 1'])
  assert.deepEqual(rulesOf(folder, { checkpoints: [anchor], publicKey: null }), [`key-unknown ${anchor.sequence}`])
})

test('a checkpoint that somebody else signed, or altered, vouches for nothing', async (t) => {
  const { folder, entries, anchor } = await sample(t)
  const other = signCheckpoint(anchor, generateKeyPairSync('ed25519').privateKey)
  assert.deepEqual(rulesOf(folder, { checkpoints: [other], publicKey: null }), [`key-unknown ${anchor.sequence}`])
  const altered = { ...anchor, hash: entries[0]?.hash ?? '' }
  assert.deepEqual(rulesOf(folder, { checkpoints: [altered], publicKey: null }), [`signature-wrong ${anchor.sequence}`])
})

test('a stretch whose checkpoints were left out shows by its length', async (t) => {
  const folder = join(await tempFolder(t), 'log')
  const log = await openLog(folder)
  for (let count = 0; count < 250; count++) log.note(act('device.put'))
  await log.close()
  assert.deepEqual(rulesOf(folder), [])
  let previous = '0'.repeat(64)
  const left = linesIn(folder)
    .map(entryOf)
    .filter(({ kind }) => kind !== 'checkpoint')
    .map((entry, index) => {
      const line = rehash({ ...entry, sequence: index + 1, previous })
      previous = entryOf(line).hash
      return line
    })
  writeLines(folder, left)
  assert.deepEqual(rulesOf(folder), ['checkpoint-missing 101'])
})

function entryOf(line: string): AuditEntry {
  const entry = readLine(line)
  if (typeof entry === 'string') throw new Error(entry)
  return entry
}

function rehash(entry: AuditEntry): string {
  return canonicalJson({ ...entry, hash: hashOf(entry) } as unknown as Json)
}
