import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createWriteStream, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { sealContainer, uint32 } from '../../src/backup/container.ts'
import { restoreBackup, verifyBackup } from '../../src/backup/restore.ts'
import { EnvelopeSealer } from '../../src/keys/envelope.ts'
import { NOW, device } from '../contract/nouns.ts'
import { openBench } from './bench-folder.ts'
import type { Bench } from './bench-folder.ts'

/** What somebody with the data keys may seal, byte for byte as he likes. */
interface Forgery {
  readonly header?: unknown
  readonly entries: readonly (Buffer | object)[]
}

const HEADER = { schema: 1, id: '0123456789abcdef', createdTime: '2026-01-01T00:00:00.000Z', version: '1.0.0' }
const BODY = Buffer.from('not a database')
const SHA256 = createHash('sha256').update(BODY).digest('hex')
const file = (path: unknown, bytes: unknown = BODY.length): object => ({ file: { path, bytes } })
const manifest = (...files: readonly object[]): object => ({ manifest: { files } })
const listed = (path: string): object => ({ path, bytes: BODY.length, sha256: SHA256 })

async function forge(bench: Bench, { header, entries }: Forgery): Promise<string> {
  const path = join(bench.parent, 'forged')
  const keyring = readFileSync(join(bench.data, 'keyring.json'), 'utf8')
  const text = JSON.stringify(header === undefined ? { ...HEADER, keyring } : header)
  async function* plain(): AsyncGenerator<Buffer> {
    for (const entry of entries) {
      if (Buffer.isBuffer(entry)) yield entry
      else {
        const json = Buffer.from(JSON.stringify(entry))
        yield Buffer.concat([uint32(json.length), json])
      }
    }
  }
  const sealer = new EnvelopeSealer('backup', bench.keyring.dataKeys)
  await pipeline(sealContainer(text, plain(), sealer), createWriteStream(path))
  return path
}

/** Nothing is left behind, inside the target or beside it. */
async function isRefused(bench: Bench, path: string, why: RegExp, name: string): Promise<void> {
  const before = readdirSync(bench.parent).toSorted()
  const target = join(bench.parent, 'restored')
  const expected = { name: 'HubError', message: why }
  await assert.rejects(restoreBackup(bench.source(path), target, NOW), expected, name)
  await assert.rejects(verifyBackup(bench.source(path), bench.parent), expected, name)
  assert.deepEqual(readdirSync(bench.parent).toSorted(), before, name)
}

const unclear = /an entry is not understood\. Nothing was restored/

test('no name leads out of the folder, or to a file that a restore makes itself', async (t) => {
  const bench = await openBench(t)
  const names: unknown[] = [
    '../registry.db',
    'telemetry/../../x.db',
    'tls/..',
    'tls/../keyring.json',
    '/etc/passwd',
    '//registry.db',
    'tls//server.cer',
    'tls/./server.cer',
    'tls\\server.cer',
    'C:registry.db',
    'tls/server.cer\u0000',
    'tls/server.cer\n',
    'registry.db/',
    'registry.db-wal',
    'keyring.json',
    'restored.json',
    'quickstart/root-ca/ca.key',
    'tls/a/b',
    'telemetry/hub/file.txt',
    `tls/${'a'.repeat(129)}`,
    '',
    'tls/ä',
    null,
    7,
    ['registry.db'],
    { toString: 'registry.db' },
  ]
  for (const name of names) {
    const path = await forge(bench, { entries: [file(name), BODY, manifest()] })
    await isRefused(bench, path, unclear, JSON.stringify(name))
  }
  assert.ok(!existsSync(join(bench.parent, 'registry.db')))
})

test('sizes, counts and types are bounded, and what is not known is refused', async (t) => {
  const bench = await openBench(t)
  const sizes: unknown[] = [-1, 1.5, 2 ** 42 + 1, 2 ** 53, '14', null, true]
  const shapes: readonly (Buffer | object)[][] = [
    ...sizes.map((bytes) => [file('registry.db', bytes), BODY, manifest()]),
    [{ file: { path: 'registry.db' } }],
    [{ file: { path: 'registry.db', bytes: BODY.length, mode: 0o777 } }, BODY],
    [{ file: { path: 'registry.db', bytes: 0 }, manifest: { files: [] } }],
    [{ link: { path: 'registry.db', to: '/etc/passwd' } }],
    [{ manifest: { files: {} } }],
    [{ manifest: [] }],
    [{ manifest: { files: [{ path: 'registry.db', bytes: 14, sha256: 'abc' }] } }],
    [{ manifest: { files: [], more: 1 } }],
    [[]],
    [Buffer.concat([uint32(4), Buffer.from('null')])],
    [Buffer.concat([uint32(1), Buffer.from('{')])],
    [Buffer.concat([uint32(0)])],
    [Buffer.concat([uint32(3), Buffer.from([0xff, 0xfe, 0xfd])])],
  ]
  for (const entries of shapes)
    await isRefused(bench, await forge(bench, { entries }), unclear, JSON.stringify(entries))
  const huge = await forge(bench, { entries: [uint32(2 ** 32 - 1), Buffer.alloc(100)] })
  await isRefused(bench, huge, /an entry is too long/, 'a huge entry')
})

test('a manifest of too many files is refused before it is read', async (t) => {
  const bench = await openBench(t)
  const files = Array.from({ length: 200_001 }, () => ({ path: 'tls/a', bytes: 0, sha256: SHA256 }))
  await isRefused(
    bench,
    await forge(bench, { entries: [{ manifest: { files } }] }),
    /more than 200000 files/,
    'too many files',
  )
})

test('what is missing, twice, swapped, changed or left over is found', async (t) => {
  const bench = await openBench(t)
  const [a, b] = [file('tls/a'), file('tls/b')]
  const other = { ...listed('tls/b'), sha256: SHA256.replace(/./, (digit) => (digit === '0' ? '1' : '0')) }
  const cases: readonly [string, readonly (Buffer | object)[], RegExp][] = [
    ['twice', [a, BODY, a, BODY, manifest(listed('tls/a'))], /tls\/a is in it twice/],
    ['not listed', [a, BODY, b, BODY, manifest(listed('tls/a'))], /not those of its manifest/],
    ['listed, and not there', [a, BODY, manifest(listed('tls/a'), listed('tls/b'))], /not those of its manifest/],
    ['in another order', [b, BODY, a, BODY, manifest(listed('tls/a'), listed('tls/b'))], /not those of its manifest/],
    ['another digest', [b, BODY, manifest(other)], /not those of its manifest/],
    ['shorter than it says', [file('tls/a', 1_000_000), BODY], /ends too early/],
    ['no manifest', [a, BODY], /ends too early/],
    ['nothing', [], /ends too early/],
    ['more after the manifest', [manifest(), Buffer.from('!')], /something follows its manifest/],
    ['two manifests', [manifest(), manifest()], /something follows its manifest/],
  ]
  for (const [name, entries, why] of cases) await isRefused(bench, await forge(bench, { entries }), why, name)
})

test('what is no database is not put into place', async (t) => {
  const bench = await openBench(t)
  const name = 'telemetry/hub/a.db'
  const entries = [file(name), BODY, manifest(listed(name))]
  await assert.rejects(
    restoreBackup(bench.source(await forge(bench, { entries })), join(bench.parent, 'restored'), NOW),
  )
  assert.ok(!existsSync(join(bench.parent, 'restored')) && !existsSync(join(bench.parent, 'restored.restoring')))
})

test('a header that is not of its shape is refused, and a newer one says so', async (t) => {
  const bench = await openBench(t)
  const keyring = readFileSync(join(bench.data, 'keyring.json'), 'utf8')
  const good = { ...HEADER, keyring }
  const headers: unknown[] = [
    null,
    [],
    'header',
    {},
    HEADER,
    { ...good, schema: 0 },
    { ...good, schema: '1' },
    { ...good, schema: 1.5 },
    { ...good, schema: undefined },
    { ...good, id: '../../etc' },
    { ...good, id: 7 },
    { ...good, createdTime: 'yesterday' },
    { ...good, version: 'x'.repeat(1_000) },
    { ...good, version: '1.0.0\u001b[2J' },
    { ...good, keyring: { keys: [] } },
    { ...good, keyring: 'x'.repeat(2 * 1024 * 1024 + 1) },
    { ...good, more: true },
  ]
  for (const header of headers) {
    const path = await forge(bench, { header, entries: [manifest()] })
    await isRefused(bench, path, /its header is not understood/, JSON.stringify(header).slice(0, 80))
  }
  const damagedKeyring = await forge(bench, { header: { ...good, keyring: '{}' }, entries: [manifest()] })
  await isRefused(bench, damagedKeyring, /keyring .* is damaged/, 'a keyring of nothing')
  const newer = await forge(bench, { header: { ...good, schema: 2, keys: 'elsewhere' }, entries: [manifest()] })
  await isRefused(bench, newer, /written by a newer Holdfast \(schema 2, and this one reads 1\)/, 'a newer schema')
  const bytes = readFileSync(newer)
  bytes.write('2', 'holdfast-backup-'.length)
  writeFileSync(newer, bytes)
  await isRefused(bench, newer, /written by a newer Holdfast \(format 2, and this one reads 1\)/, 'a newer format')
})

test('a backup cut off at any place is refused', async (t) => {
  const bench = await openBench(t)
  await bench.stores.registry.devices.create(device('a'))
  const whole = readFileSync(await bench.backUp())
  const path = join(bench.parent, 'cut')
  const cuts = Array.from({ length: 40 }, (_, step) => Math.floor((whole.length * step) / 40))
  for (const length of [...cuts, 17, 18, 21, 22, whole.length - 1]) {
    writeFileSync(path, whole.subarray(0, length))
    await isRefused(bench, path, /ends too early|no backup|does not open|not understood/, `${length} bytes`)
  }
})

test('the header of one backup does not open the chunks of another', async (t) => {
  const bench = await openBench(t)
  const [one, two] = [readFileSync(await bench.backUp('one')), readFileSync(await bench.backUp('two'))]
  const headOf = (backup: Buffer): number => 22 + backup.readUInt32BE(18)
  const path = join(bench.parent, 'swapped')
  writeFileSync(path, Buffer.concat([one.subarray(0, headOf(one)), two.subarray(headOf(two))]))
  await isRefused(bench, path, /chunk 0 does not open/, 'swapped')
})
