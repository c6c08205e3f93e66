import assert from 'node:assert/strict'
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { lstatSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { Place } from './place.ts'

const PORTS = '--mqtt-port 0 --https-port 0 --amqp-port 0'
const STEPS = [
  'Server up: hub, provisioning service, events endpoint',
  'Root CA made',
  'Intermediate CA made under it',
  'Root CA registered',
  'Possession of its key proven',
  "Enrollment group 'quickstart' made",
  'Device certificate made',
  'Device provisioned itself by its chain',
  'Device connected with its .pfx',
  'First message acknowledged: it is on disk',
  'The same message read from the events endpoint',
  'Settings for SDK samples written',
]
const SETTINGS = [
  'EVENTHUB_CONNECTION_STRING',
  'HOLDFAST_MANAGEMENT_TOKEN_FILE',
  'HOLDFAST_MANAGEMENT_URL',
  'IOTHUB_CA_ROOT_CERT',
  'IOTHUB_CA_ROOT_CERT_KEY',
  'IOTHUB_CONNECTION_STRING',
  'IOT_PROVISIONING_DEVICE_ENDPOINT',
  'IOT_PROVISIONING_DEVICE_IDSCOPE',
  'IOT_PROVISIONING_ROOT_CERT',
  'IOT_PROVISIONING_ROOT_CERT_KEY',
  'IOT_PROVISIONING_SERVICE_CONNECTION_STRING',
  'NODE_EXTRA_CA_CERTS',
]

describe('holdfast start on an empty folder', { timeout: 480_000 }, () => {
  const place = new Place()
  after(() => place.leave())

  /** As a shell sees the file once it has sourced it. */
  function sourced(): Record<string, string> {
    const text = execFileSync('sh', ['-c', 'set -a; . data/quickstart.env; env -0'], {
      cwd: place.path,
      env: { PATH: process.env['PATH'] },
      encoding: 'utf8',
    })
    const entries = text
      .split('\0')
      .filter(Boolean)
      .map((line): [string, string] => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)])
    return Object.fromEntries(entries.filter(([name]) => !['PATH', 'PWD', 'OLDPWD', 'SHLVL', '_'].includes(name)))
  }

  test('tells every step with its time, shows the message, and stays up', async () => {
    const server = place.start(PORTS)
    await server.shows(/Ctrl-C stops/)
    const lines = server.output.split('\n').filter((line) => line.startsWith('  ✓ '))
    assert.deepEqual(
      lines.map((line) => /^ {2}✓ (.*?) +\d+ ms/.exec(line)?.[1]),
      STEPS,
    )
    assert.match(server.output, /"temperature":21.5/)
    assert.equal(server.complaints, '')
  })

  test('the settings can be sourced by sh, are for nobody else to read, and are complete', () => {
    assert.equal(statSync(place.file('data', 'quickstart.env')).mode & 0o777, 0o600)
    assert.deepEqual(Object.keys(sourced()).sort(), SETTINGS)
  })

  test('the CA in the settings is the one that the server trusts, with its key', () => {
    const settings = sourced()
    const text = (name: string) => Buffer.from(settings[name] ?? '', 'base64').toString()
    const certificate = new X509Certificate(text('IOTHUB_CA_ROOT_CERT'))
    assert.ok(certificate.ca && certificate.checkPrivateKey(createPrivateKey(text('IOTHUB_CA_ROOT_CERT_KEY'))))
    assert.equal(text('IOT_PROVISIONING_ROOT_CERT'), text('IOTHUB_CA_ROOT_CERT'))
    assert.equal(text('IOT_PROVISIONING_ROOT_CERT_KEY'), text('IOTHUB_CA_ROOT_CERT_KEY'))
    assert.match(settings['IOTHUB_CONNECTION_STRING'] ?? '', /^HostName=localhost;SharedAccessKeyName=iothubowner;/)
    assert.match(settings['IOT_PROVISIONING_SERVICE_CONNECTION_STRING'] ?? '', /^HostName=localhost;SharedAccess/)
    assert.match(settings['IOT_PROVISIONING_DEVICE_IDSCOPE'] ?? '', /^0ne[0-9A-F]{8}$/)
  })

  test('the events connection string reads, the management settings steer', async () => {
    const { EVENTHUB_CONNECTION_STRING: events = '' } = sourced()
    assert.match(
      await place.holdfast(`monitor --from earliest --count 1 --connection-string ${events} --data data`),
      /sample-device-1/,
    )
    assert.match(await place.holdfast('status'), /of 1 devices, 0 disabled; 1 of 1 CAs verified/)
    assert.match(await place.holdfast('ca list'), /quickstart-root +verified/)
  })

  test('the data folder holds no secret in the clear, also of a quickstart', () => {
    const files = readdirSync(place.file('data'), { recursive: true, withFileTypes: true }).filter((each) =>
      each.isFile(),
    )
    assert.ok(files.length > 10)
    const keys = Object.entries(sourced()).filter(([name]) => /_KEY$|CONNECTION_STRING$/.test(name))
    const secrets = keys.map(([, value]) => /SharedAccessKey=([^;]+)/.exec(value)?.[1] ?? value)
    secrets.push(place.read('data.token').trim())
    for (const { parentPath, name } of files) {
      const bytes = readFileSync(join(parentPath, name)).toString('latin1')
      assert.doesNotMatch(bytes, /PRIVATE KEY-----|holdfast_[A-Za-z0-9_-]{40}/, name)
      assert.ok(!secrets.some((secret) => bytes.includes(secret)), name)
    }
    assert.equal(lstatSync(place.file('data', 'quickstart.env')).isSymbolicLink(), true)
    for (const path of ['data.quickstart', 'data.quickstart/root-ca/ca.key', 'data.token', 'data.key'])
      assert.equal(statSync(place.file(path)).mode & 0o077, 0, path)
  })

  test('a second server on the same folder is refused and changes nothing', async () => {
    const data = place.read('data', 'quickstart.env')
    const elsewhere = place.start(PORTS)
    await assert.rejects(elsewhere.shows(/Holdfast is up/), /in use|another|locked/i)
    assert.equal(place.read('data', 'quickstart.env'), data)
  })
})

describe('holdfast start once more', { timeout: 480_000 }, () => {
  const place = new Place()
  after(() => place.leave())

  test('is up at once, with the same CA, scope and events', async () => {
    const first = place.start(PORTS)
    const [, scope] = await first.shows(/id scope (\S+)/)
    await first.shows(/Ctrl-C stops/)
    assert.equal(await first.interrupt(), 0)
    const second = place.start(PORTS)
    const [, took] = await second.shows(/Holdfast is up after (\d+) ms/)
    await second.shows(new RegExp(`id scope ${scope}`))
    assert.doesNotMatch(second.output, /✓/)
    assert.match(await place.holdfast('monitor --from earliest --count 1'), /"temperature":21.5/)
    assert.equal(await second.interrupt(), 0)
    assert.match(second.output, /stopped\. Everything that was acknowledged is on disk\.\n$/)
    assert.ok(Number(took) < 10_000)
  })
})

describe('holdfast start on a folder in which an earlier release left keys', { timeout: 480_000 }, () => {
  const place = new Place()
  after(() => place.leave())

  test('takes them out; the settings work as before; a new folder gets new keys', async () => {
    const first = place.start(PORTS)
    await first.shows(/Ctrl-C stops/)
    assert.equal(await first.interrupt(), 0)
    // As it was: token, CA keys and settings inside.
    const env = place.read('data', 'quickstart.env').replaceAll('/data.token', '/data/management.token')
    rmSync(place.file('data', 'quickstart.env'))
    rmSync(place.file('data', 'quickstart.told'))
    writeFileSync(place.file('data', 'quickstart.env'), env, { mode: 0o600 })
    renameSync(place.file('data.quickstart'), place.file('data', 'quickstart'))
    rmSync(place.file('data', 'quickstart', 'quickstart.env'))
    writeFileSync(place.file('data', 'quickstart', 'told'), '')
    renameSync(place.file('data.token'), place.file('data', 'management.token'))

    const second = place.start(PORTS)
    await second.shows(/Ctrl-C stops/)
    assert.doesNotMatch(second.output, /✓/)
    assert.deepEqual(
      readdirSync(place.file('data'))
        .filter((name) => /quickstart|token/.test(name))
        .sort(),
      ['quickstart.env', 'quickstart.told'],
    )
    assert.equal(place.read('data', 'quickstart.env'), env.replaceAll('/data/management.token', '/data.token'))
    assert.match(place.read('data.quickstart', 'root-ca', 'ca.key'), /PRIVATE KEY/)
    assert.match(await place.holdfast('status'), /of 1 devices/)
    assert.equal(await second.interrupt(), 0)

    const ca = place.read('data.quickstart', 'root-ca', 'ca.cer')
    rmSync(place.file('data'), { recursive: true })
    const third = place.start(PORTS)
    await third.shows(/Ctrl-C stops/)
    assert.notEqual(place.read('data.quickstart', 'root-ca', 'ca.cer'), ca)
    assert.equal(place.read('data.quickstart.old', 'root-ca', 'ca.cer'), ca)
    assert.equal(await third.interrupt(), 0)
  })
})

describe('holdfast start at an address instead of a name', { timeout: 60_000 }, () => {
  const place = new Place()
  after(() => place.leave())

  test('tells its story, is steered and is read', async () => {
    const server = place.start(`--listen 127.0.0.9 ${PORTS}`)
    await server.shows(/Ctrl-C stops/)
    assert.match(await place.holdfast('status'), /hub hub \(127\.0\.0\.9\): . connected of 1 devices/)
    assert.match(await place.holdfast('monitor --from earliest --count 1'), /"temperature":21.5/)
    assert.equal(await server.interrupt(), 0)
  })
})

describe('the command line where NODE_EXTRA_CA_CERTS names the root of somebody else', { timeout: 60_000 }, () => {
  const place = new Place()
  after(() => place.leave())

  test('still trusts the server on this machine', async () => {
    const server = place.start(`--no-quickstart ${PORTS}`)
    await server.shows(/Ctrl-C stops/)
    await place.holdfast('pki root company --name Company')
    const status = await place.holdfast('status', 0, { NODE_EXTRA_CA_CERTS: place.file('company', 'ca.cer') })
    assert.match(status, /^up since/)
    assert.equal(await server.interrupt(), 0)
  })
})
