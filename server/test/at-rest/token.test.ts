import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { restoreBackup, verifyBackup } from '../../src/backup/restore.ts'
import { createLog } from '../../src/log.ts'
import { tokenKey } from '../../src/keys/token-key.ts'
import type { TokenPlace } from '../../src/keys/token-key.ts'
import { keyProviderContract } from './key-provider.contract.ts'
import { HUB, makeFolder } from './whole-folder.ts'

const MODULE = '/usr/lib/softhsm/libsofthsm2.so'
const PIN = '987654'
const random = { bytes: (count: number) => randomBytes(count) }
const missing = existsSync(MODULE) && existsSync('/usr/bin/pkcs11-tool') ? false : 'needs softhsm2 and opensc'

function run(tool: string, line: string): void {
  execFileSync(tool, line.split(' '), { stdio: 'pipe' })
}

/** A SoftHSM token of its own for this process, with two keys. */
function makeToken(): { place: TokenPlace; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-token-'))
  mkdirSync(join(folder, 'tokens'))
  writeFileSync(join(folder, 'softhsm2.conf'), `directories.tokendir = ${join(folder, 'tokens')}\n`)
  process.env['SOFTHSM2_CONF'] = join(folder, 'softhsm2.conf')
  run('softhsm2-util', `--init-token --free --label holdfast --so-pin 12345678 --pin ${PIN}`)
  for (const id of ['01', '02']) addKey(`AES:32 --id ${id} --sensitive`)
  return { place: { module: MODULE, token: 'holdfast', key: '01', pin: PIN }, folder }
}

function addKey(made: string): void {
  run('pkcs11-tool', `--module ${MODULE} --token-label holdfast --login --pin ${PIN} --keygen --key-type ${made}`)
}

function auditEntriesIn(data: string): AuditEntry[] {
  const folder = join(data, 'audit')
  const files = readdirSync(folder).filter((name) => name.endsWith('.jsonl'))
  const lines = files.flatMap((name) => readFileSync(join(folder, name), 'utf8').trim().split('\n'))
  return lines.map((line) => JSON.parse(line) as AuditEntry)
}

/** A server's folder, and the token with its PIN in a file. */
function openSite(t: TestContext) {
  const { place, folder: tokenFolder } = makeToken()
  t.after(() => rmSync(tokenFolder, { recursive: true }))
  const folder = makeFolder(t)
  const pinFile = join(folder.parent, 'pin')
  writeFileSync(pinFile, `${PIN}\n`)
  const { pin: _pin, ...token } = place
  const uri = (id: string): string => `pkcs11:token=holdfast;id=%${id}?module-path=${MODULE}&pin-source=file:${pinFile}`
  return { place, folder, pinFile, uri, keys: { token: { ...token, pinFile } } }
}

if (missing === false) {
  keyProviderContract('PKCS#11 token', async () => {
    const { place, folder } = makeToken()
    return {
      provider: await tokenKey(place, { random }),
      reopen: () => tokenKey(place, { random }),
      other: () => tokenKey({ ...place, key: '02' }, { random }),
      dispose: async () => rmSync(folder, { recursive: true }),
    }
  })
}

test(
  'a server is sealed by a token: without it, or with a wrong PIN, it does not start',
  { skip: missing },
  async (t) => {
    const { folder, pinFile, keys } = openSite(t)
    const server = await folder.start({ keys })
    await server.operate('PUT', `/hubs/${HUB}/devices/d`, { authentication: { type: 'sas' } })
    await assert.rejects(server.operate('POST', '/keys/kek/rotate', {}), /400 .*another key in the token/)
    await server.close()
    assert.ok(!existsSync(folder.keyFile))
    await assert.rejects(folder.start(), /sealed with a token, not with a key file/)
    await assert.rejects(folder.start({ keys: { token: { ...keys.token, key: '02' } } }), /is not the one/)
    writeFileSync(pinFile, '000000\n')
    await assert.rejects(folder.start({ keys }), /Key 01 of token 'holdfast' cannot be used: .*PIN_INCORRECT/)
    rmSync(pinFile)
    await assert.rejects(folder.start({ keys }), /PIN file .* cannot be read/)
    // A PIN that was typed needs no file.
    const { pinFile: _none, ...typed } = keys.token
    await assert.rejects(folder.start({ keys: { token: typed } }), /PIN of token 'holdfast' is missing/)
    const again = await folder.start({ keys: { token: typed }, environment: { tokenPin: PIN } })
    await again.operate('GET', `/hubs/${HUB}/devices/d`)
  },
)

test(
  'a keyring moves from a file into a token, to another key of it and back, while the server runs',
  { skip: missing },
  async (t) => {
    const { folder, uri, keys } = openSite(t)
    const logged: Buffer[] = []
    const log = createLog({
      level: 'debug',
      destination: new PassThrough().on('data', (chunk: Buffer) => logged.push(chunk)),
    })
    const server = await folder.start({ environment: { log } })
    await server.operate('PUT', `/hubs/${HUB}/devices/d`, { authentication: { type: 'sas' } })
    const kinds: string[] = []
    const rotate = async (body: object): Promise<void> => {
      const { kek } = await server.operate<{ kek: { kind: string } }>('POST', '/keys/kek/rotate', body)
      kinds.push(kek.kind)
      // Data keys are still wrapped and unwrapped by what holds the key now.
      await server.operate('POST', '/keys/data/rotate')
    }
    await rotate({ keyToken: uri('01') })
    await assert.rejects(server.operate('POST', '/keys/kek/rotate', { keyToken: uri('01') }), /400 .*already/)
    await rotate({ keyToken: uri('02').replace(/&pin-source.*/, ''), tokenPin: PIN })
    await rotate({ passphrase: 'correct horse battery' })
    await rotate({ keyToken: uri('01') })
    await server.close()
    await assert.rejects(folder.start(), /sealed with a token, not with a key file/)
    const onToken = await folder.start({ keys, environment: { log } })
    await onToken.operate('POST', '/keys/kek/rotate', { keyFile: join(folder.parent, 'kek') })
    await onToken.close()
    const again = await folder.start({ keys: { file: join(folder.parent, 'kek') } })
    await again.operate('GET', `/hubs/${HUB}/devices/d`)
    assert.deepEqual(kinds, ['token', 'token', 'passphrase', 'token'])

    const audit = auditEntriesIn(folder.data)
    const moves = audit.filter(
      ({ act, kind, result }) => act === 'keys.rotate-kek' && kind === 'outcome' && result === 'done',
    )
    assert.equal(moves.length, 5)
    assert.ok(moves.every(({ who }) => who.name === 'owner'))
    const told = JSON.stringify(audit) + Buffer.concat(logged).toString()
    assert.ok(told.includes('module-path') && !told.includes(PIN), 'the place is told, the PIN is not')
  },
)

test(
  'a backup of a server with a token is verified and restored with the token alone',
  { skip: missing },
  async (t) => {
    const { folder, keys, place } = openSite(t)
    const server = await folder.start({ keys })
    await server.operate('PUT', `/hubs/${HUB}/devices/d`, { authentication: { type: 'sas' } })
    const path = join(folder.parent, 'backup')
    writeFileSync(path, await server.fetch('POST', '/backups'))
    await server.close()
    const source = { path, random }
    const key = { kind: 'token', ...place } as const
    assert.equal((await verifyBackup({ ...source, key }, folder.parent)).devices, 1)
    const target = join(folder.parent, 'restored')
    await assert.rejects(
      restoreBackup({ ...source, key: { kind: 'file', path: folder.keyFile } }, target, 0),
      /sealed with a token/,
    )
    await assert.rejects(restoreBackup({ ...source, key: { ...key, key: '02' } }, target, 0), /is not the one/)
    await assert.rejects(restoreBackup({ ...source, key: { ...key, pin: '0000' } }, target, 0), /PIN/)
    assert.ok(!existsSync(target))
    await restoreBackup({ ...source, key }, folder.parent + '/restored', 0)
    rmSync(folder.data, { recursive: true })
    run('mv', `${target} ${folder.data}`)
    const restored = await folder.start({ keys })
    await restored.operate('GET', `/hubs/${HUB}/devices/d`)
  },
)

test('a key that could leave the token, or is of another kind, is not used', { skip: missing }, async (t) => {
  const { place } = openSite(t)
  addKey('AES:32 --id 03 --extractable')
  addKey('AES:32 --id 04 --sensitive --extractable')
  addKey('AES:16 --id 05 --sensitive')
  for (const [key, why] of [
    ['03', /not sensitive/],
    ['04', /not never extractable/],
    ['05', /no key of AES-256/],
    ['06', /no such secret key/],
  ] as const)
    await assert.rejects(tokenKey({ ...place, key }, { random }), why)
})

test('a library that others can exchange is not loaded', { skip: missing }, async (t) => {
  const { place, folder } = openSite(t)
  const module = join(folder.parent, 'library.so')
  copyFileSync(MODULE, module)
  chmodSync(module, 0o666)
  await assert.rejects(tokenKey({ ...place, module }, { random }), /others may exchange/)
  await assert.rejects(tokenKey({ ...place, module: `${module}.none` }, { random }), /cannot be found/)
  chmodSync(module, 0o644)
  await tokenKey({ ...place, module }, { random })
  chmodSync(folder.parent, 0o777)
  await assert.rejects(tokenKey({ ...place, module }, { random }), /others may exchange/)
  chmodSync(folder.parent, 0o700)
})

test('the PIN is no argument of any process', { skip: missing }, async (t) => {
  const { place, folder } = openSite(t)
  const seen = join(folder.parent, 'arguments')
  writeFileSync(
    join(folder.parent, 'pkcs11-tool'),
    `#!/bin/sh\nprintf '%s\\n' "$*" >>'${seen}'\nexec /usr/bin/pkcs11-tool "$@"\n`,
    { mode: 0o755 },
  )
  const before = process.env['PATH'] ?? ''
  process.env['PATH'] = `${folder.parent}:${before}`
  t.after(() => (process.env['PATH'] = before))
  const key = await tokenKey(place, { random })
  await key.unwrap(await key.wrap(randomBytes(32), 'place'), 'place')
  const lines = readFileSync(seen, 'utf8').trim().split('\n')
  assert.equal(lines.length, 4, 'one for the attributes, one for the id, one for each use')
  assert.ok(lines.every((line) => line.includes('--pin env:') && !line.includes(PIN)))
})
