import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCertificates, parseCrl, publicationName } from '@holdfast/pki'
import { assertRefused, Shell } from './shell.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

interface CrlResult {
  readonly number: string
  readonly baseNumber?: string
  readonly entries: number
  readonly file: string
}

const HUB = 'http://iot.example/crl/{key}.crl'

function nameOf(shell: Shell, file: string): string {
  const [certificate] = parseCertificates(shell.read(file))
  assert.ok(certificate)
  return publicationName(certificate)
}

function extensionsOf(shell: Shell, file: string): string {
  return shell.openssl('x509', '-in', file, '-noout', '-text')
}

test(
  'what a CA was told once stands in all that it signs, and goes on below it where it holds for any CA',
  { skip: withoutOpenssl },
  () => {
    using shell = new Shell()
    shell.ok('root', 'root', '--name', 'Root', '--crl-url', HUB, '--ocsp-url', 'http://ocsp.example/top')
    shell.ok('intermediate', 'line', '--ca', 'root', '--name', 'Line', '--ocsp-url', 'http://ocsp.example/line')
    shell.ok('device', 'pump', '--ca', 'line')
    assert.doesNotMatch(extensionsOf(shell, 'root/ca.cer'), /CRL Distribution|OCSP/)
    const line = extensionsOf(shell, 'line/ca.cer')
    assert.match(line, new RegExp(`URI:http://iot\\.example/crl/${nameOf(shell, 'root/ca.cer')}\\.crl\n`))
    assert.match(line, /OCSP - URI:http:\/\/ocsp\.example\/top\n/)
    const pump = extensionsOf(shell, 'line/issued/pump.cer')
    assert.match(pump, new RegExp(`URI:http://iot\\.example/crl/${nameOf(shell, 'line/ca.cer')}\\.crl\n`))
    assert.match(pump, /OCSP - URI:http:\/\/ocsp\.example\/line\n/)
    assert.doesNotMatch(pump, /ocsp\.example\/top/)
  },
)

test('a request and a single device can be given other addresses, several of them', { skip: withoutOpenssl }, () => {
  using shell = new Shell()
  shell.ok('root', 'root', '--name', 'Root', '--crl-url', 'http://remembered.example/root.crl')
  const two = ['--crl-url', 'http://one.example/a.crl', '--crl-url', 'http://two.example/a.crl']
  shell.ok('device', 'pump', '--ca', 'root', ...two, '--issuer-url', 'http://one.example/root.cer')
  const pump = extensionsOf(shell, 'root/issued/pump.cer')
  assert.match(pump, /URI:http:\/\/one\.example\/a\.crl\s+URI:http:\/\/two\.example\/a\.crl/)
  assert.match(pump, /CA Issuers - URI:http:\/\/one\.example\/root\.cer/)
  assert.doesNotMatch(pump, /remembered/)
  const subject = ['-subj', '/CN=valve', '-keyout', 'valve.key', '-out', 'valve.csr']
  shell.openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', ...subject)
  shell.ok('sign-csr', 'valve.csr', '--ca', 'root')
  assert.match(extensionsOf(shell, 'root/issued/valve.cer'), /URI:http:\/\/remembered\.example\/root\.crl/)
})

test('addresses can be shown, set and cleared later, and say what they will be', { skip: withoutOpenssl }, () => {
  using shell = new Shell()
  shell.ok('root', 'root', '--name', 'Root')
  assert.match(shell.ok('addresses', 'root'), /CRL +nowhere that it knows of/)
  const set = shell.json('addresses', 'root', '--crl-url', HUB) as { crlUrl: string[] }
  assert.deepEqual(set.crlUrl, [`http://iot.example/crl/${nameOf(shell, 'root/ca.cer')}.crl`])
  shell.ok('addresses', 'root', '--delta-url', 'http://iot.example/delta.crl')
  shell.ok('device', 'pump', '--ca', 'root')
  assert.match(extensionsOf(shell, 'root/issued/pump.cer'), /URI:http:\/\/iot\.example\/crl\//)
  assert.match(shell.ok('addresses', 'root', '--clear'), /CRL +nowhere/)
  shell.ok('device', 'pump-2', '--ca', 'root')
  assert.doesNotMatch(extensionsOf(shell, 'root/issued/pump-2.cer'), /URI/)
})

test('an address that cannot stand there is refused before anything is made', () => {
  using shell = new Shell()
  shell.ok('root', 'root', '--name', 'Root')
  for (const [address, why] of [
    ['https://pki.example/x.crl', /circle/],
    ['http://pki.example/{kye}.crl', /only \{key\} stands for something/],
    ['nonsense', /no http address/],
    ['http://pki.example/\u001b[31m', /no http address/],
  ] as const) {
    for (const [folder, ...args] of [
      ['other', 'root', 'other', '--name', 'Other'],
      ['line', 'intermediate', 'line', '--ca', 'root', '--name', 'Line'],
      ['root/issued/pump.cer', 'device', 'pump', '--ca', 'root'],
    ] as const) {
      const outcome = shell.pki(...args, '--crl-url', address)
      assertRefused(outcome, outcome.status ?? 0, why)
      assert.notEqual(outcome.status, 0)
      assert.ok(!shell.has(folder), folder)
    }
  }
})

test(
  'a delta takes what has changed since the list before it, as openssl and our own parser read it',
  { skip: withoutOpenssl },
  () => {
    using shell = new Shell()
    shell.ok(
      'root',
      'root',
      '--name',
      'Root',
      '--crl-url',
      HUB,
      '--delta-url',
      'http://iot.example/crl/{key}-delta.crl',
    )
    shell.ok('device', 'good', 'late', 'held', 'bad', '--ca', 'root')
    assertRefused(shell.pki('crl', '--ca', 'root', '--delta'), 1, /no complete CRL that a delta could build on/)
    shell.ok('revoke', '--device', 'bad', '--ca', 'root', '--reason', 'keyCompromise')
    shell.ok('revoke', '--device', 'held', '--ca', 'root', '--reason', 'certificateHold')
    const base = shell.json('crl', '--ca', 'root', '--pem', '--out', 'base.pem') as CrlResult
    assert.deepEqual([base.number, base.entries, base.baseNumber], ['1', 2, undefined])
    shell.ok('revoke', '--device', 'late', '--ca', 'root', '--reason', 'superseded')
    assertRefused(
      shell.pki('revoke', '--device', 'bad', '--ca', 'root', '--lift'),
      1,
      /revoked for good \(keyCompromise\)/,
    )
    assertRefused(shell.pki('revoke', '--device', 'good', '--ca', 'root', '--lift'), 1, /nothing of it is on hold/)
    assert.match(shell.ok('revoke', '--device', 'held', '--ca', 'root', '--lift'), /has ended/)
    const delta = shell.json('crl', '--ca', 'root', '--delta', '--pem', '--out', 'delta.pem') as CrlResult
    assert.deepEqual([delta.number, delta.baseNumber, delta.entries], ['2', '1', 2])
    shell.ok('crl', '--ca', 'root', '--delta')
    assert.equal(parseCrl(shell.bytes('root/ca-delta.crl')).number, 3n)
    assert.match(shell.openssl('crl', '-in', 'base.pem', '-noout', '-text'), /Freshest CRL:[\s\S]+-delta\.crl/)
    const verify = (id: string) =>
      shell.openssl(
        ...['verify', '-crl_check', '-use_deltas', '-extended_crl', '-CAfile', 'root/ca.cer'],
        ...['-CRLfile', 'base.pem', '-CRLfile', 'delta.pem', `root/issued/${id}.cer`],
      )
    for (const id of ['good', 'held']) assert.match(verify(id), /OK/)
    for (const id of ['late', 'bad']) assert.throws(() => verify(id), /certificate revoked/)
    // The next complete list has it all, and deltas build on it from then on.
    const next = shell.json('crl', '--ca', 'root') as CrlResult
    assert.deepEqual([next.number, next.entries], ['4', 2])
    assert.deepEqual((shell.json('crl', '--ca', 'root', '--delta') as CrlResult).entries, 0)
  },
)

test('a list that cannot be written uses up no number', () => {
  using shell = new Shell()
  shell.ok('root', 'root', '--name', 'Root')
  assertRefused(shell.pki('crl', '--ca', 'root', '--out', 'nowhere/ca.crl'), 1, /cannot be written: it does not exist/)
  assertRefused(shell.pki('crl', '--ca', 'root', '--out', 'root'), 1, /is a folder/)
  assert.equal((shell.json('crl', '--ca', 'root') as CrlResult).number, '1')
})
