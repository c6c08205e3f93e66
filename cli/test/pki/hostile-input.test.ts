import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { assertRefused, Shell } from './shell.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

test('a folder that cannot be had is refused at once, and nothing of a CA is left behind', () => {
  using shell = new Shell()
  shell.write('file', 'x')
  for (const [folder, why] of [
    // A file system that makes no folders, where a recursive mkdir of Node goes round for ever.
    ['/proc/holdfast-ca', /cannot be made: it does not exist/],
    ['file', /a part of the path is a file/],
    ['file/below', /a part of the path is a file/],
    ['', /name of the folder is empty/],
    ['x'.repeat(300), /name is too long/],
  ] as const)
    assertRefused(shell.pki('root', folder, '--name', 'Root'), 1, why)
  assert.deepEqual(readdirSync(shell.path), ['file'])
})

test('a name that would mislead is refused before a folder is made; one in any script is taken', () => {
  using shell = new Shell()
  for (const [name, why] of [
    ['', /cannot be a common name/],
    [' outer', /cannot be a common name/],
    ['line\nbreak', /cannot be a common name/],
    ['bell\u0007', /cannot be a common name/],
    ['reversed \u202e', /cannot be a common name/],
    ['x'.repeat(300), /has 300 characters/],
  ] as const)
    assertRefused(shell.pki('root', 'root', '--name', name), 1, why)
  assert.ok(!shell.has('root'))
  shell.ok('root', 'root', '--name', 'Wérk 工場 ../..')
  for (const id of ['', '../up', 'a/b', 'a\nb', 'ünï', 'x'.repeat(300)])
    assertRefused(shell.pki('device', id, '--ca', 'root'), 1, /cannot be a device id|has 300 characters/)
  assert.deepEqual(readdirSync(shell.path), ['root'])
  assert.ok(!shell.has('root/issued'))
})

test('a count or a term out of all reason is refused in words', () => {
  using shell = new Shell()
  shell.ok('root', 'root', '--name', 'Root')
  for (const count of ['0', '-1', '1e9', '1000000000', 'many', ''])
    assert.equal(shell.pki('device', 'pump-', '--count', count, '--ca', 'root').status, 2, count)
  for (const days of ['0', '-1', '1e9', '36526', '1.5'])
    assert.equal(shell.pki('device', 'pump', '--days', days, '--ca', 'root').status, 2, days)
  assertRefused(shell.pki('device', 'pump', '--until', '2020-01-01', '--ca', 'root'), 1, /not in the future/)
  assertRefused(shell.pki('device', 'pump', '--days', '36525', '--ca', 'root'), 1, /longer than its issuer/)
  assert.ok(!shell.has('root/issued'))
})

test(
  'a request that asks to become a CA, lies about its key or is cut off is refused, with the name of the file',
  { skip: withoutOpenssl },
  () => {
    using shell = new Shell()
    shell.ok('root', 'root', '--name', 'Root')
    const request = (file: string, ...more: string[]) => {
      shell.openssl(
        'req',
        '-new',
        ...CURVE,
        '-keyout',
        'k',
        '-subj',
        '/CN=valve',
        '-outform',
        'DER',
        '-out',
        file,
        ...more,
      )
      return shell.bytes(file)
    }
    request('ca.csr', '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=keyCertSign')
    assertRefused(shell.pki('sign-csr', 'ca.csr', '--ca', 'root'), 1, /asks for the certificate of a CA/)
    const good = request('good.csr', '-addext', 'basicConstraints=CA:FALSE', '-addext', 'subjectAltName=DNS:valve')
    const forged = Buffer.from(good)
    forged[forged.length - 3] = (forged[forged.length - 3] ?? 0) ^ 1
    shell.write('forged.csr', forged)
    assertRefused(shell.pki('sign-csr', 'forged.csr', '--ca', 'root'), 1, /not signed by the key/)
    shell.write('cut.csr', good.subarray(0, 100))
    assertRefused(
      shell.pki('sign-csr', 'cut.csr', '--ca', 'root'),
      1,
      /'cut\.csr' cannot be read as a certificate request/,
    )
    assert.ok(!shell.has('root/issued'))
    shell.ok('sign-csr', 'good.csr', '--ca', 'root')
    assert.doesNotMatch(shell.openssl('x509', '-in', 'root/issued/valve.cer', '-noout', '-text'), /CA:TRUE|DNS:/)
  },
)

test('what is no certificate, request or CRL is told so, and a CRL is described', () => {
  using shell = new Shell()
  shell.ok('root', 'root', '--name', 'Root', '--crl-url', 'http://pki.example/root.crl')
  shell.ok('device', 'pump', '--ca', 'root')
  shell.write('noise', Buffer.alloc(70_000, 7))
  assertRefused(shell.pki('inspect', 'noise'), 1, /'noise' cannot be read as a certificate, request or CRL/)
  assertRefused(shell.pki('verify', 'noise', '--ca', 'root'), 1, /'noise' cannot be read as a certificate chain/)
  assertRefused(shell.pki('revoke', 'noise', '--ca', 'root'), 1, /'noise' cannot be read as a certificate/)
  shell.ok('revoke', '--device', 'pump', '--ca', 'root')
  shell.ok('crl', '--ca', 'root')
  assert.match(shell.ok('inspect', 'root/ca.crl'), /^CRL 1\n {2}issuer +CN=Root\n[^]+entries +1\n/)
  shell.ok('crl', '--ca', 'root', '--delta', '--pem', '--out', 'delta.pem')
  assert.match(shell.ok('inspect', 'delta.pem'), /^delta to CRL 1: 2\n/)
  assert.match(shell.ok('inspect', 'root/issued/pump.cer'), /CRL at +http:\/\/pki\.example\/root\.crl\n/)
})
