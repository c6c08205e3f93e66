import assert from 'node:assert/strict'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createHash, createHmac } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { KeyOperations } from '../../src/keys/key-operations.ts'
import { filesIn, HUB, makeFolder } from './whole-folder.ts'
import type { Started } from './whole-folder.ts'

const DEVICE = { authentication: { type: 'sas' } }
interface ShownDevice {
  readonly deviceId: string
  readonly authentication: { readonly symmetricKey: { readonly primaryKey: string } }
}
const deviceKey = (device: ShownDevice): string => device.authentication.symmetricKey.primaryKey
type KeyFacts = ReturnType<KeyOperations['facts']>

const HOUR = 60 * 60 * 1000

async function reseal(server: Started): Promise<NonNullable<KeyFacts['reseal']>> {
  await server.operate('POST', '/keys/reseal')
  for (;;) {
    const { reseal } = await server.operate<KeyFacts>('GET', '/keys')
    assert.ok(reseal)
    if (reseal.state === 'running') continue
    assert.equal(reseal.state, 'done')
    return reseal
  }
}

const KEYS = {
  primaryKey: Buffer.alloc(32, 1).toString('base64'),
  secondaryKey: Buffer.alloc(32, 2).toString('base64'),
}

/** An event of a device that has `KEYS`, acknowledged. */
async function sendEvent(server: Started, deviceId: string): Promise<void> {
  const expiry = Math.floor(Date.now() / 1000) + 3600
  const resource = encodeURIComponent(`plant.test/devices/${deviceId}`)
  const signature = createHmac('sha256', Buffer.from(KEYS.primaryKey, 'base64')).update(`${resource}\n${expiry}`)
  const sent = await server.ask({
    host: 'plant.test',
    method: 'POST',
    path: `/devices/${deviceId}/messages/events?api-version=2021-04-12`,
    headers: {
      authorization: `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature.digest('base64'))}&se=${expiry}`,
    },
    body: 'to be forgotten',
  })
  assert.equal(sent.status, 204, sent.text)
}

function sealedDevices(data: string): readonly Buffer[] {
  const database = new DatabaseSync(join(data, 'registry.db'), { readOnly: true })
  const rows = database.prepare('SELECT doc FROM devices').all()
  database.close()
  return rows.map((row) => Buffer.from(row['doc'] as Uint8Array))
}

/** The sealed bytes of every block of a running server. */
function blocksIn(data: string): readonly Buffer[] {
  const folder = join(data, 'telemetry', HUB)
  return readdirSync(folder)
    .filter((name) => name.endsWith('.db'))
    .flatMap((name) => {
      const database = new DatabaseSync(join(folder, name), { readOnly: true })
      const rows = database.prepare('SELECT bytes FROM blocks').all()
      database.close()
      return rows.map((row) => Buffer.from(row['bytes'] as Uint8Array))
    })
}

/** Names, sizes and contents of everything in a folder. */
function snapshot(folder: string): Record<string, string> {
  return Object.fromEntries(
    filesIn(folder).map(({ path, bytes }) => [path, createHash('sha256').update(bytes).digest('hex')]),
  )
}

test('the key file is made beside the data folder with mode 0600, and the server starts again with it', async (t) => {
  const folder = makeFolder(t)
  const first = await folder.start()
  const made = await first.operate<ShownDevice>('PUT', `/hubs/${HUB}/devices/d`, DEVICE)
  await first.close()
  assert.equal(statSync(folder.keyFile).mode & 0o777, 0o600)
  assert.equal(statSync(join(folder.data, 'keyring.json')).mode & 0o777, 0o600)
  const second = await folder.start()
  assert.equal(deviceKey(await second.operate<ShownDevice>('GET', `/hubs/${HUB}/devices/d`)), deviceKey(made))
})

test('a missing, another or a readable key file stops the start and touches nothing', async (t) => {
  const folder = makeFolder(t)
  await (await folder.start()).close()
  const other = makeFolder(t)
  await (await other.start()).close()
  const before = snapshot(folder.data)
  const kept = `${folder.keyFile}.kept`
  renameSync(folder.keyFile, kept)

  await assert.rejects(folder.start(), /key file .*data\.key is missing.*Nothing was touched/s)
  assert.ok(!existsSync(folder.keyFile), 'a new key was made')
  copyFileSync(other.keyFile, folder.keyFile)
  await assert.rejects(folder.start(), /holds key [0-9a-f]{16}, but this data folder is sealed with key [0-9a-f]{16}/)
  copyFileSync(kept, folder.keyFile)
  chmodSync(folder.keyFile, 0o640)
  await assert.rejects(folder.start(), /can be read by others than its owner \(mode 640\)/)
  await assert.rejects(
    folder.start({ environment: { keyPassphrase: 'correct horse battery' } }),
    /sealed with a key file, not with a passphrase/,
  )
  assert.deepEqual(snapshot(folder.data), before)

  chmodSync(folder.keyFile, 0o600)
  await (await folder.start()).close()
})

test('a missing or damaged keyring stops the start and touches nothing', async (t) => {
  const folder = makeFolder(t)
  await (await folder.start()).close()
  const keyring = join(folder.data, 'keyring.json')
  const text = readFileSync(keyring, 'utf8')
  const tampered: [string, RegExp][] = [
    ['{"format": 1', /keyring .* is damaged/],
    [text.replace('"format": 1', '"format": 2'), /newer Holdfast/],
    [text.replace('"admitsUnsealed": false', '"admitsUnsealed": true'), /does not open this data key/],
    [text.replace(/"createdTime": (\d+)/, '"createdTime": 1'), /does not open this data key/],
  ]
  for (const [changed, message] of tampered) {
    writeFileSync(keyring, changed)
    const before = snapshot(folder.data)
    await assert.rejects(folder.start(), message)
    assert.deepEqual(snapshot(folder.data), before)
  }
  rmSync(keyring)
  await assert.rejects(folder.start(), /keyring .* is missing, but the data beside it is sealed/)
  assert.ok(!existsSync(keyring))
})

test('a passphrase takes the place of the key file', async (t) => {
  const folder = makeFolder(t)
  const environment = { keyPassphrase: 'correct horse battery' }
  const first = await folder.start({ environment })
  await first.operate<ShownDevice>('PUT', `/hubs/${HUB}/devices/d`, DEVICE)
  await first.close()
  assert.ok(!existsSync(folder.keyFile))
  await assert.rejects(folder.start({ environment: { keyPassphrase: 'another passphrase' } }), /not the one/)
  await assert.rejects(folder.start(), /sealed with a passphrase, not with a key file/)
  const second = await folder.start({ environment })
  await second.operate<ShownDevice>('GET', `/hubs/${HUB}/devices/d`)
  await assert.rejects(makeFolder(t).start({ environment: { keyPassphrase: 'short' } }), /at least 12 characters/)
})

test('every key is turned over while the server runs', async (t) => {
  const folder = makeFolder(t)
  const server = await folder.start()
  const before = await server.operate<ShownDevice>('PUT', `/hubs/${HUB}/devices/before`, DEVICE)
  await server.operate('PUT', `/hubs/${HUB}/devices/sender`, { authentication: { type: 'sas', symmetricKey: KEYS } })
  await sendEvent(server, 'sender')
  const oldKey = readFileSync(folder.keyFile, 'utf8')

  const facts = await server.operate<KeyFacts>('GET', '/keys')
  assert.deepEqual([facts.kek.kind, facts.kek.path, facts.dataKeys.length], ['file', folder.keyFile, 1])
  const rotated = await server.operate<KeyFacts>('POST', '/keys/kek/rotate', {})
  assert.notEqual(rotated.kek.id, facts.kek.id)
  assert.notEqual(readFileSync(folder.keyFile, 'utf8'), oldKey)

  assert.deepEqual(
    (await server.operate<KeyFacts>('POST', '/keys/data/rotate')).dataKeys.map((key) => [key.id, key.current]),
    [
      [1, false],
      [2, true],
    ],
  )
  const after = await server.operate<ShownDevice>('PUT', `/hubs/${HUB}/devices/after`, DEVICE)
  const progress = await reseal(server)
  assert.ok(progress.resealed > 5 && progress.looked >= progress.resealed)
  assert.equal(progress.retired, 0, 'events of the old key are still there')

  const certificates = (await server.operate<{ certificates: string[] }>('POST', '/keys/server-certificate/renew'))
    .certificates
  assert.equal(certificates.length, 2)
  await server.close()

  // A day later the events have gone, and with them the last use of the old key.
  const environment = { clock: { now: () => Date.now() + 26 * HOUR } }
  const later = await folder.start({ environment })
  await later.operate<ShownDevice>('PUT', `/hubs/${HUB}/devices/later`, DEVICE)
  await later.close()
  const again = await folder.start({ environment })
  assert.equal((await reseal(again)).retired, 1)
  assert.deepEqual(
    (await again.operate<KeyFacts>('GET', '/keys')).dataKeys.map((key) => key.id),
    [2],
  )
  for (const device of [before, after]) {
    const read = await again.operate<ShownDevice>('GET', `/hubs/${HUB}/devices/${device.deviceId}`)
    assert.equal(deviceKey(read), deviceKey(device))
  }
})

test('a deleted device is overwritten at once, its events on request', async (t) => {
  const folder = makeFolder(t)
  const server = await folder.start()
  await server.operate('PUT', `/hubs/${HUB}/devices/d`, { authentication: { type: 'sas', symmetricKey: KEYS } })
  await sendEvent(server, 'd')
  const sealedBefore = blocksIn(folder.data)
  const before = filesIn(join(folder.data, 'telemetry'))
  assert.ok(sealedBefore.length > 0 && sealedBefore.every((block) => before.some(({ bytes }) => bytes.includes(block))))
  const rows = sealedDevices(folder.data)
  const holds = (): boolean => filesIn(folder.data).some(({ bytes }) => rows.some((row) => bytes.includes(row)))
  assert.ok(rows.length === 1 && holds())
  await server.operate('DELETE', `/hubs/${HUB}/devices/d`)
  // Emptied in the next idle moment.
  while (holds()) await setImmediate()
  await server.operate('POST', `/hubs/${HUB}/devices/d/erase-events`)
  let erasure: KeyFacts['erasure'] = null
  do erasure = (await server.operate<KeyFacts>('GET', '/keys')).erasure
  while (erasure?.state === 'running')
  assert.ok(erasure?.state === 'done' && erasure.events >= 1)
  await server.close()
  const after = filesIn(join(folder.data, 'telemetry'))
  const erased = sealedBefore.filter((block) => !after.some(({ bytes }) => bytes.includes(block)))
  assert.ok(erased.length >= 1, 'not even the sealed bytes remain')
})

test('a rotation that was cut off before the key file was in place is finished at the next start', async (t) => {
  const folder = makeFolder(t)
  const server = await folder.start()
  const old = `${folder.keyFile}.old`
  copyFileSync(folder.keyFile, old)
  await server.operate<KeyFacts>('POST', '/keys/kek/rotate', {})
  await server.close()
  renameSync(folder.keyFile, `${folder.keyFile}.next`)
  renameSync(old, folder.keyFile)
  await (await folder.start()).close()
  assert.ok(!existsSync(`${folder.keyFile}.next`))
  await (await folder.start()).close()
})

test('the keyring moves to a passphrase and to another file, and never over a file', async (t) => {
  const folder = makeFolder(t)
  const server = await folder.start()
  await assert.rejects(
    server.operate<KeyFacts>('POST', '/keys/kek/rotate', { keyFile: join(folder.data, 'registry.db') }),
    /never put over one/,
  )
  await server.operate<KeyFacts>('POST', '/keys/kek/rotate', { passphrase: 'correct horse battery' })
  await server.close()
  const locked = await folder.start({ environment: { keyPassphrase: 'correct horse battery' } })
  const file = join(folder.parent, 'elsewhere', 'kek')
  await locked.operate<KeyFacts>('POST', '/keys/kek/rotate', { keyFile: file })
  await locked.close()
  await (await folder.start({ keys: { file } })).close()
})
