import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, test } from 'node:test'
import { parseCertificate, provePossession } from '@holdfast/pki'
import { assertRefused, Shell } from './shell.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

const shell = new Shell()

before(() => {
  shell.ok('root', 'root', '--name', 'Root')
  shell.ok('intermediate', 'line', '--ca', 'root', '--name', 'Line 7')
})
after(() => shell[Symbol.dispose]())

function request(name: string, subject: string, ...more: readonly string[]): string {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`]
  shell.openssl('req', '-new', ...key, '-subj', subject, '-out', `${name}.csr`, ...more)
  return `${name}.csr`
}

test('a request made on the device becomes its certificate and chain', { skip: withoutOpenssl }, () => {
  const output = shell.ok('sign-csr', request('pump-1', '/CN=pump-1'), '--ca', 'line', '--id', 'pump-1')
  assert.match(output, /^device "pump-1", valid through/)
  const verify = [
    'verify',
    '-x509_strict',
    '-purpose',
    'sslclient',
    '-CAfile',
    'root/ca.cer',
    '-untrusted',
    'line/ca.cer',
  ]
  assert.match(shell.openssl(...verify, 'line/issued/pump-1.cer'), /OK/)
  const publicKey = shell.openssl('pkey', '-in', 'pump-1.key', '-pubout')
  assert.equal(shell.openssl('x509', '-in', 'line/issued/pump-1.cer', '-noout', '-pubkey'), publicKey)
  assert.equal(
    shell.read('line/issued/pump-1.chain.pem'),
    shell.read('line/issued/pump-1.cer') + shell.read('line/ca.cer'),
  )
})

test('a request in DER is read too', { skip: withoutOpenssl }, () => {
  const file = request('der', '/CN=der', '-outform', 'DER')
  const { id } = shell.json('sign-csr', file, '--ca', 'line', '--out', 'signed') as { id: string }
  assert.equal(id, 'der')
})

test('requests that must not be signed are refused', { skip: withoutOpenssl }, () => {
  const sign = (file: string, ...more: string[]) =>
    shell.pki('sign-csr', file, '--ca', 'line', '--out', 'none', ...more)
  const good = request('good', '/CN=good')
  assertRefused(sign(good, '--id', 'other'), 1, /the request is for 'good', not for 'other': nothing was signed/)
  assertRefused(sign(request('two', '/CN=a/CN=b')), 1, /names more than one common name/)
  assertRefused(sign(request('none', '/O=Contoso')), 1, /names no common name/)
  assertRefused(sign(request('slash', '/CN=a\\/b')), 1, /"a\/b" cannot be a device id/)
  assertRefused(sign('root/ca.cer'), 1, /holds 0 certificate requests where one is expected/)
  assertRefused(sign(shell.write('junk.csr', 'junk')), 1, /at offset/)
  assertRefused(sign('absent.csr'), 1, /the certificate request 'absent\.csr' cannot be read: it does not exist/)
  assertRefused(sign(good, '--ca', 'nowhere'), 1, /'nowhere' is not the folder of a CA/)
  shell.openssl('req', '-new', '-key', 'line/ca.key', '-subj', '/CN=ca', '-out', 'ca.csr')
  assertRefused(sign('ca.csr'), 1, /the key of the issuing CA .* itself\. Make a new key/)
  shell.ok('sign-csr', good, '--ca', 'line')
  assertRefused(shell.pki('sign-csr', good, '--ca', 'line'), 1, /'line\/issued\/good\.cer' exists already/)
})

test('a verification certificate proves the CA that signed it', () => {
  const code = '106A5F3C2B9D4E8F7A6B5C4D3E2F1A0B9C8D7E6F5A4B3C2D'
  for (const ca of ['root', 'line']) {
    shell.ok('verification-cert', code, '--ca', ca)
    const file = shell.read(`${ca}/verification-${code}.cer`)
    const claim = {
      authority: parseCertificate(new X509Certificate(shell.read(`${ca}/ca.cer`)).raw),
      code: { value: code, expiresAt: Infinity },
      verification: parseCertificate(new X509Certificate(file).raw),
    }
    assert.equal(provePossession(claim, Date.now()).kind, 'proof-of-possession')
  }
  shell.ok('verification-cert', code, '--ca', 'root', '--out', 'proof.cer')
  assertRefused(
    shell.pki('verification-cert', code, '--ca', 'root', '--out', 'proof.cer'),
    1,
    /'proof\.cer' exists already/,
  )
  assertRefused(
    shell.pki('verification-cert', 'not a code', '--ca', 'root'),
    1,
    /"not a code" is not a verification code/,
  )
  assertRefused(shell.pki('verification-cert', '../x', '--ca', 'root'), 1, /is not a verification code/)
})
