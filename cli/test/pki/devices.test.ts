import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createSecureContext } from 'node:tls'
import { assertRefused, Shell } from './shell.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

const shell = new Shell()

before(() => {
  shell.ok('root', 'root', '--name', 'Root')
  shell.ok('intermediate', 'line', '--ca', 'root', '--name', 'Line 7')
  shell.write('pass.txt', 'device secret\n')
})
after(() => shell[Symbol.dispose]())

const at = (name: string): string => `line/issued/pump-1.${name}`

test('a device gets its key, certificate, chain and .pfx', { skip: withoutOpenssl }, () => {
  const output = shell.ok('device', 'pump-1', '--ca', 'line')
  assert.match(output, /^device "pump-1", valid through/)
  assert.equal(shell.mode(at('key.pem')), 0o600)
  assert.equal(shell.mode(at('pfx')), 0o600)
  assert.match(shell.read(at('key.pem')), /^-----BEGIN PRIVATE KEY-----/)
  const certificate = new X509Certificate(shell.read(at('cer')))
  assert.equal(certificate.subject, 'CN=pump-1')
  assert.ok(certificate.checkPrivateKey(createPrivateKey(shell.read(at('key.pem')))))
  assert.ok(shell.read(at('chain.pem')).startsWith(shell.read(at('cer'))))
  assert.equal(shell.read(at('chain.pem')), shell.read(at('cer')) + shell.read('line/ca.cer'))
  const verify = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 'root/ca.cer']
  assert.match(shell.openssl(...verify, '-untrusted', at('chain.pem'), at('cer')), /OK/)
  const contents = shell.openssl('pkcs12', '-in', at('pfx'), '-passin', 'pass:', '-nodes')
  assert.equal(contents.match(/BEGIN CERTIFICATE/g)?.length, 2)
  createSecureContext({ pfx: shell.bytes(at('pfx')) })
  createSecureContext({ cert: shell.read(at('chain.pem')), key: shell.read(at('key.pem')) })
})

test('a passphrase encrypts the key in PEM and in the .pfx', { skip: withoutOpenssl }, () => {
  shell.ok('device', 'secret-1', '--ca', 'line', '--passphrase-file', 'pass.txt', '--out', 'secret')
  const passphrase = 'device secret'
  assert.match(shell.read('secret/secret-1.key.pem'), /^-----BEGIN ENCRYPTED PRIVATE KEY-----/)
  shell.openssl('pkey', '-in', 'secret/secret-1.key.pem', '-passin', 'file:pass.txt', '-noout')
  shell.openssl('pkcs12', '-in', 'secret/secret-1.pfx', '-passin', 'file:pass.txt', '-nodes')
  const pfx = shell.bytes('secret/secret-1.pfx')
  createSecureContext({ pfx, passphrase })
  createSecureContext({
    cert: shell.read('secret/secret-1.chain.pem'),
    key: shell.read('secret/secret-1.key.pem'),
    passphrase,
  })
  assert.throws(() => createSecureContext({ pfx, passphrase: 'wrong' }), /mac verify failure/)
})

test('a device straight under the root has a chain of its certificate alone', () => {
  shell.ok('device', 'lone', '--ca', 'root')
  assert.equal(shell.read('root/issued/lone.chain.pem'), shell.read('root/issued/lone.cer'))
})

test('many devices are numbered, and each is whole', { skip: withoutOpenssl }, () => {
  assert.match(
    shell.ok('device', 'sensor-', '--count', '250', '--ca', 'line', '--out', 'bulk'),
    /^250 devices in bulk, from sensor-001 to sensor-250 /,
  )
  const files = readdirSync(join(shell.path, 'bulk'))
  assert.equal(files.length, 4 * 250)
  const serials = new Set(
    files
      .filter((name) => name.endsWith('.cer'))
      .map((name) => new X509Certificate(shell.read(`bulk/${name}`)).serialNumber),
  )
  assert.equal(serials.size, 250)
  const chains = ['001', '100', '101', '250'].map((number) => `bulk/sensor-${number}.cer`)
  const verified = shell.openssl('verify', '-CAfile', 'root/ca.cer', '-untrusted', 'line/ca.cer', ...chains)
  assert.equal(verified.match(/: OK/g)?.length, 4)
  shell.ok('device', 'sensor-', '--count', '2', '--start', '251', '--ca', 'line', '--out', 'bulk')
  assert.ok(readdirSync(join(shell.path, 'bulk')).includes('sensor-252.pfx'))
})

test('ids come from the first column of a CSV', () => {
  shell.write('devices.csv', '\u{feff}deviceId,site\r\npump-a,North\r\n"pump,b",South\r\n\r\npump-c\r\n')
  const lines = shell.ok('device', '--csv', 'devices.csv', '--ca', 'line', '--out', 'csv', '--json').trim().split('\n')
  const made = lines.map((line) => JSON.parse(line) as { id: string; sha256: string; files: { certificate: string } })
  assert.deepEqual(
    made.map(({ id }) => id),
    ['pump-a', 'pump,b', 'pump-c'],
  )
  for (const { files, sha256 } of made) {
    const { fingerprint256 } = new X509Certificate(shell.read(files.certificate))
    assert.equal(fingerprint256.replaceAll(':', '').toLowerCase(), sha256)
  }
})

test('a list with a mistake makes nothing and names the line', () => {
  const csv = (text: string) =>
    shell.pki('device', '--csv', shell.write('bad.csv', text), '--ca', 'line', '--out', 'none')
  assertRefused(csv('id\ngood\nbad/id\n'), 1, /bad\.csv, line 3: "bad\/id" cannot be a device id/)
  assertRefused(csv('a\nb\na\n'), 1, /bad\.csv, line 3: 'a' is on line 1 already/)
  assertRefused(csv('\n'), 1, /holds no ids/)
  assert.equal(readdirSync(shell.path).includes('none'), false)
})

test('nothing is overwritten, and a run that meets an existing file makes nothing', () => {
  shell.ok('device', 'd-2', '--ca', 'line', '--out', 'half')
  assertRefused(
    shell.pki('device', 'd-', '--count', '3', '--ca', 'line', '--out', 'half'),
    1,
    /'half\/d-2\.key\.pem' exists already/,
  )
  assert.equal(readdirSync(join(shell.path, 'half')).length, 4)
  assertRefused(shell.pki('device', 'd-2', '--ca', 'line', '--out', 'half'), 1, /exists already/)
})

test('the index of the CA knows every certificate that it signed', { skip: withoutOpenssl }, () => {
  const index = shell.read('line/issued/index.jsonl').trim().split('\n')
  const entries = index.map((line) => JSON.parse(line) as Record<'serial' | 'kind' | 'subject', string>)
  const pump = entries.find(({ subject }) => subject === 'CN=pump-1')
  const { serialNumber } = new X509Certificate(shell.read('line/issued/pump-1.cer'))
  assert.equal(pump?.kind, 'device')
  assert.equal(BigInt(`0x${pump?.serial}`), BigInt(`0x${serialNumber}`))
  assert.ok(entries.length >= 252)
})

test('post-quantum and classical keys side by side', () => {
  for (const key of ['p384', 'ed25519', 'rsa2048', 'ml-dsa-65']) {
    shell.ok('device', key, '--ca', 'line', '--key', key, '--out', 'kinds')
    createSecureContext({ pfx: shell.bytes(`kinds/${key}.pfx`) })
  }
})

test('wrong ids and combinations are refused', () => {
  const device = (...args: string[]) => shell.pki('device', ...args, '--ca', 'line', '--out', 'none')
  assertRefused(device('a b'), 1, /"a b" cannot be a device id\. Use ASCII letters/)
  assertRefused(device('../x'), 1, /cannot be a device id/)
  assertRefused(device('x'.repeat(65)), 1, /The device id has 65 characters; a certificate holds at most 64/)
  assertRefused(device('a', 'b', 'a'), 1, /the id 'a' is given twice/)
  assertRefused(device(), 2, /give the id of a device/)
  assertRefused(device('a', 'b', '--count', '2'), 2, /give one prefix/)
  assertRefused(device('a', '--csv', 'devices.csv'), 2, /not several/)
  assertRefused(device('a', '--count', '0'), 2, /whole number from 1/)
  assertRefused(device('a', '--count', '1000001'), 2, /whole number from 1/)
  assert.equal(readdirSync(shell.path).includes('none'), false)
})
