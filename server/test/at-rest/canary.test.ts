import assert from 'node:assert/strict'
import { createHmac, createPrivateKey } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { EnvelopeSealer } from '../../src/keys/envelope.ts'
import { SealedFiles } from '../../src/keys/sealed-files.ts'
import { createLog } from '../../src/log.ts'
import { keysOf } from './data-keys.ts'
import { filesIn, HUB, makeFolder } from './whole-folder.ts'
import type { Started } from './whole-folder.ts'

/** Every secret that was put into the server, by where it was put. */
class Canaries {
  readonly secrets = new Map<string, Buffer>()

  text(field: string): string {
    const text = `CANARY-${field}-5e3cdf`
    this.secrets.set(field, Buffer.from(text))
    return text
  }

  /** A symmetric key, base64. */
  key(field: string): string {
    const bytes = Buffer.from(`CANARY-${field}`.padEnd(32, '#')).subarray(0, 32)
    this.secrets.set(field, bytes)
    return bytes.toString('base64')
  }

  /** A secret that the server made itself. */
  found(field: string, secret: string | Buffer): void {
    this.secrets.set(field, Buffer.from(secret))
  }
}

/** How a secret may stand in a file: raw, hex of both cases, UTF-16, and base64 at each of its three alignments. */
function formsOf(secret: Buffer): ReadonlyMap<string, Buffer> {
  const forms = new Map<string, Buffer>([
    ['raw', secret],
    ['hex', Buffer.from(secret.toString('hex'))],
    ['upper-case hex', Buffer.from(secret.toString('hex').toUpperCase())],
    ['UTF-16', Buffer.from(secret.toString('latin1'), 'utf16le')],
    ['UTF-16 of base64', Buffer.from(secret.toString('base64').slice(0, -4), 'utf16le')],
  ])
  for (const shift of [0, 1, 2]) {
    for (const alphabet of ['base64', 'base64url'] as const) {
      const text = Buffer.concat([Buffer.alloc(shift), secret]).toString(alphabet)
      // Without the characters that the neighbours of the secret have a part in.
      forms.set(`${alphabet} at ${shift}`, Buffer.from(text.slice(shift === 0 ? 0 : 4, -4)))
    }
  }
  return forms
}

interface Searched {
  readonly name: string
  readonly bytes: Buffer
}

function search(canaries: Canaries, places: readonly Searched[]): string[] {
  const found: string[] = []
  for (const [field, secret] of canaries.secrets) {
    for (const [form, bytes] of formsOf(secret)) {
      for (const place of places) {
        if (!isOpen(field, place.name) && place.bytes.includes(bytes))
          found.push(`${field} as ${form} in ${place.name}`)
      }
    }
  }
  return found
}

/** The audit log can be read without a key, and says why an operator disabled a device in the operator's own words. */
function isOpen(field: string, file: string): boolean {
  return field === 'status reason' && file.endsWith('.jsonl')
}

function sasToken(resource: string, key: string, name?: string): string {
  const expiry = Math.floor(Date.now() / 1000) + 3600
  const signature = createHmac('sha256', Buffer.from(key, 'base64'))
    .update(`${encodeURIComponent(resource)}\n${expiry}`)
    .digest('base64')
  const tail = name === undefined ? '' : `&skn=${name}`
  return `SharedAccessSignature sr=${encodeURIComponent(resource)}&sig=${encodeURIComponent(signature)}&se=${expiry}${tail}`
}

const signatureOf = (token: string): string => decodeURIComponent(/sig=([^&]+)/.exec(token)?.[1] ?? '')

/** Telemetry, and attempts with tokens: of the device, and one that is refused. */
async function sendEvents(server: Started, canaries: Canaries, key: string): Promise<void> {
  const token = sasToken('plant.test/devices/pump', key)
  const wrong = sasToken('plant.test/devices/pump', canaries.key('key of a refused token'))
  canaries.found('SAS token', signatureOf(token))
  canaries.found('refused SAS token', signatureOf(wrong))
  const send = (authorization: string, body: string) =>
    server.ask({
      host: 'plant.test',
      method: 'POST',
      path: '/devices/pump/messages/events?api-version=2021-04-12',
      headers: {
        authorization,
        'iothub-app-recipe': canaries.text('application property'),
        'IoTHub-MessageId': canaries.text('message id'),
      },
      body,
    })
  const accepted = await send(token, canaries.text('payload'))
  assert.equal(accepted.status, 204, accepted.text)
  assert.equal((await send(wrong, 'refused')).status, 401)
}

/** An enrollment with a twin and a symmetric key, and a device that registers through it. */
async function provision(server: Started, canaries: Canaries): Promise<void> {
  const key = canaries.key('enrollment key')
  await server.operate('PUT', '/enrollments/valve', {
    attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: key, secondaryKey: canaries.key('second key') } },
    initialTwin: {
      tags: { owner: canaries.text('tag') },
      properties: { desired: { recipe: canaries.text('desired property') } },
    },
    optionalDeviceInformation: { note: canaries.text('device information') },
  })
  await server.operate('PUT', '/enrollment-groups/line', {
    attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: canaries.key('group key') } },
    allocationPolicy: 'custom',
    customAllocationDefinition: {
      webhookUrl: `https://allocation.test/?code=${canaries.text('allocation secret')}`,
      apiVersion: '2021-10-01',
    },
    initialTwin: { tags: { site: canaries.text('group tag') } },
  })
  const resource = `${server.idScope}/registrations/valve`
  const registered = await server.ask({
    host: 'dps.test',
    method: 'PUT',
    path: `/${resource}/register?api-version=2021-06-01`,
    headers: { authorization: sasToken(resource, key, 'registration') },
    body: JSON.stringify({ registrationId: 'valve', payload: { note: canaries.text('registration payload') } }),
  })
  assert.equal(registered.status, 200, registered.text)
}

test('no secret that a server was given or made is found in its folder, its logs or its temporary files', async (t) => {
  const folder = makeFolder(t)
  const temporary = join(folder.parent, 'tmp')
  mkdirSync(temporary)
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = temporary
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  const logged: Buffer[] = []
  const destination = new PassThrough().on('data', (chunk: Buffer) => logged.push(chunk))
  const log = createLog({ level: 'debug', destination })
  const canaries = new Canaries()
  const server = await folder.start({ environment: { log } })

  const key = canaries.key('device key')
  await server.operate('PUT', `/hubs/${HUB}/devices/pump`, {
    authentication: { type: 'sas', symmetricKey: { primaryKey: key, secondaryKey: canaries.key('other device key') } },
    statusReason: canaries.text('status reason'),
  })
  await sendEvents(server, canaries, key)
  await provision(server, canaries)
  const webhook = await server.operate<{ secret: string }>('POST', `/hubs/${HUB}/webhooks`, {
    url: `https://receiver.test/?token=${canaries.text('webhook url')}`,
  })
  canaries.found('webhook secret', webhook.secret.replace(/^whsec_/, ''))
  const { value: policies } = await server.operate<{ value: { name: string; primaryKey: string }[] }>(
    'GET',
    `/hubs/${HUB}/policies`,
  )
  for (const policy of policies) {
    canaries.found(`key of policy ${policy.name}`, Buffer.from(policy.primaryKey, 'base64'))
  }
  await server.operate('POST', '/keys/data/rotate')
  await server.operate('POST', '/keys/kek/rotate', { passphrase: canaries.text('passphrase') })
  const places = (): readonly Searched[] => [
    ...filesIn(folder.data),
    ...filesIn(temporary),
    { name: 'the log', bytes: Buffer.concat(logged) },
  ]

  // Refusals reach the disk when they are read.
  await server.operate('GET', '/refusals')
  assert.ok(
    filesIn(folder.data).some(({ name }) => name.endsWith('-wal')),
    'the write-ahead log is searched too',
  )
  const running = places()
  await server.operate('POST', '/keys/kek/rotate', { keyFile: join(folder.parent, 'kek') })
  await server.close()

  const dataKeys = await keysOf(folder.data, join(folder.parent, 'kek'))
  for (const { id, key: dataKey } of dataKeys) canaries.found(`data key ${id}`, dataKey.export())
  const secrets = new SealedFiles(new EnvelopeSealer('file', dataKeys), { admitsUnsealed: false })
  for (const name of ['server-root.key.pem', 'server.key.pem', 'server-rsa.key.pem']) {
    const privateKey = createPrivateKey(secrets.read(join(folder.data, 'tls', name)) ?? '')
    const { d = '' } = privateKey.export({ format: 'jwk' })
    canaries.found(`private key ${name}`, Buffer.from(d, 'base64url'))
  }
  const kek = readFileSync(join(folder.parent, 'kek'), 'utf8').trim().split(':')[1] ?? ''
  canaries.found('key-encryption key', Buffer.from(kek, 'base64'))

  canaries.found("the owner's token", readFileSync(server.managementTokenFile, 'utf8').trim())
  assert.ok(canaries.secrets.size > 25)
  assert.deepEqual(search(canaries, [...running, ...places()]), [])
  // Also secrets that no canary stands for.
  for (const { name, bytes } of places())
    assert.doesNotMatch(bytes.toString('latin1'), /PRIVATE KEY-----|holdfast_[A-Za-z0-9_-]{40}|holdfast-kek-/, name)
})

test("the owner's token moves out of a folder that an earlier release filled, and stays good", async (t) => {
  const folder = makeFolder(t)
  const inside = join(folder.data, 'management.token')
  const before = await folder.start()
  const token = readFileSync(before.managementTokenFile, 'utf8')
  await before.close()
  assert.equal(before.managementTokenFile, `${folder.data}.token`)
  renameSync(before.managementTokenFile, inside)
  const moved = await folder.start()
  assert.deepEqual([existsSync(inside), readFileSync(moved.managementTokenFile, 'utf8')], [false, token])
  assert.equal(statSync(moved.managementTokenFile).mode & 0o777, 0o600)
  await moved.operate('GET', '/status')
  await moved.close()

  // A lost one is replaced; one of another server is no log-in here; something else is left alone.
  rmSync(moved.managementTokenFile)
  const renewed = await folder.start()
  const second = readFileSync(renewed.managementTokenFile, 'utf8')
  assert.notEqual(second, token)
  await renewed.close()
  writeFileSync(renewed.managementTokenFile, token)
  const replaced = await folder.start()
  assert.notEqual(readFileSync(replaced.managementTokenFile, 'utf8'), token)
  await replaced.operate('GET', '/status')
  await replaced.close()
  writeFileSync(replaced.managementTokenFile, 'notes of somebody')
  await assert.rejects(folder.start(), /holds something else than a management token/)
  assert.equal(readFileSync(replaced.managementTokenFile, 'utf8'), 'notes of somebody')
})

test('the search finds what is there, in every form', () => {
  const canaries = new Canaries()
  const secret = Buffer.from(canaries.text('control'))
  for (const [form, bytes] of formsOf(secret)) {
    const place = { name: 'a file', bytes: Buffer.concat([Buffer.from('before '), bytes, Buffer.from(' after')]) }
    assert.ok(search(canaries, [place]).includes(`control as ${form} in a file`), form)
  }
  for (const around of ['', 'a', 'ab', 'abc']) {
    const bytes = Buffer.from(Buffer.from(`${around}${secret.toString()}xyz`).toString('base64'))
    assert.notDeepEqual(search(canaries, [{ name: 'base64', bytes }]), [])
  }
})
