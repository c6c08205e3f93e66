import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertRefused, Shell } from './shell.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

/** A CA as it is bought: made by openssl, a root above it, keys in the forms in which they are handed over. */
const shell = new Shell()

before(() => {
  if (withoutOpenssl !== false) return
  const newKey = ['-newkey', 'rsa:2048', '-nodes']
  const caExtensions = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign']
  shell.openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    'root.key',
    '-subj',
    '/CN=Bought Root',
    '-out',
    'root.pem',
    '-days',
    '3650',
    ...caExtensions,
  )
  shell.openssl('req', '-new', ...newKey, '-keyout', 'ca.key', '-subj', '/O=Bought/CN=Issuing CA', '-out', 'ca.csr')
  shell.write('ca.ext', 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n')
  const signer = ['-CA', 'root.pem', '-CAkey', 'root.key', '-set_serial', '2', '-days', '365', '-extfile', 'ca.ext']
  shell.openssl('x509', '-req', '-in', 'ca.csr', ...signer, '-out', 'ca.pem')
  shell.openssl('req', '-x509', ...newKey, '-keyout', 'other.key', '-subj', '/CN=Unrelated', '-out', 'other.pem')
  shell.write('chain.pem', shell.read('other.pem') + shell.read('root.pem') + shell.read('ca.pem'))
  shell.write('pass.txt', 'old secret\n')
  shell.write('new.txt', 'new secret\n')
})
after(() => shell[Symbol.dispose]())

test('a bought CA is taken over with its chain in order, and issues', { skip: withoutOpenssl }, () => {
  assert.match(shell.ok('import', 'plain', '--chain', 'chain.pem', '--key', 'ca.key'), /^imported CA "Issuing CA"/)
  assert.equal(shell.mode('plain/ca.key'), 0o600)
  const pem = (name: string): string => shell.openssl('x509', '-in', name)
  assert.equal(shell.read('plain/ca.cer'), pem('ca.pem'))
  assert.equal(shell.read('plain/chain.pem'), pem('ca.pem') + pem('root.pem'))
  shell.ok('device', 'pump-1', '--ca', 'plain')
  assert.match(
    shell.openssl('verify', '-CAfile', 'root.pem', '-untrusted', 'plain/ca.cer', 'plain/issued/pump-1.cer'),
    /OK/,
  )
  assert.match(
    shell.ok('verify', 'plain/issued/pump-1.chain.pem', '--ca', 'root.pem'),
    /^trusted: "pump-1" chains to "Bought Root"/,
  )
})

test('encrypted keys in each form are opened, and encrypted again if asked', { skip: withoutOpenssl }, () => {
  shell.openssl('pkcs8', '-topk8', '-in', 'ca.key', '-passout', 'file:pass.txt', '-out', 'pkcs8.key')
  shell.openssl(
    'rsa',
    '-in',
    'ca.key',
    '-aes256',
    '-traditional',
    '-passout',
    'file:pass.txt',
    '-out',
    'traditional.key',
  )
  shell.openssl(
    'pkcs12',
    '-export',
    '-inkey',
    'ca.key',
    '-in',
    'ca.pem',
    '-certfile',
    'root.pem',
    '-passout',
    'file:pass.txt',
    '-out',
    'ca.pfx',
  )
  const sources = [
    ['--chain', 'chain.pem', '--key', 'pkcs8.key'],
    ['--chain', 'chain.pem', '--key', 'traditional.key'],
    ['--pfx', 'ca.pfx'],
  ]
  for (const [index, source] of sources.entries()) {
    const folder = `encrypted-${index}`
    assertRefused(
      shell.pki('import', folder, ...source),
      1,
      /no terminal to ask on, give it with --key-passphrase-file FILE/,
    )
    assertRefused(
      shell.pki('import', folder, ...source, '--key-passphrase-file', 'new.txt'),
      1,
      /passphrase does not fit/,
    )
    shell.ok('import', folder, ...source, '--key-passphrase-file', 'pass.txt', '--passphrase-file', 'new.txt')
    assert.match(shell.read(`${folder}/ca.key`), /^-----BEGIN ENCRYPTED PRIVATE KEY-----/)
    assert.equal(shell.read(`${folder}/chain.pem`).match(/BEGIN/g)?.length, 2)
    shell.ok('verification-cert', 'CODE', '--ca', folder, '--ca-passphrase-file', 'new.txt')
  }
})

test('a key in DER is read', { skip: withoutOpenssl }, () => {
  shell.openssl('pkcs8', '-topk8', '-nocrypt', '-in', 'ca.key', '-outform', 'DER', '-out', 'ca.key.der')
  shell.ok('import', 'der', '--chain', 'ca.pem', '--key', 'ca.key.der')
  assert.equal(shell.read('der/chain.pem'), shell.read('der/ca.cer'))
})

test('what does not fit together is refused', { skip: withoutOpenssl }, () => {
  const take = (...args: string[]) => shell.pki('import', 'none', ...args)
  assertRefused(
    take('--chain', 'root.pem', '--key', 'ca.key'),
    1,
    /the key belongs to none of the certificates given: "Bought Root"/,
  )
  assertRefused(take('--chain', 'ca.key', '--key', 'ca.key'), 1, /no certificate found/)
  assertRefused(take('--chain', 'ca.pem', '--key', 'ca.pem'), 1, /holds no private key that can be read/)
  assertRefused(take('--chain', 'ca.pem'), 2, /give --chain and --key, or --pfx/)
  assertRefused(take('--pfx', 'ca.pem', '--key', 'ca.key'), 2, /cannot be used with option/)
  shell.ok('root', 'mine', '--name', 'Mine')
  shell.ok('device', 'leaf', '--ca', 'mine')
  const leaf = ['--chain', 'mine/issued/leaf.cer', '--key', 'mine/issued/leaf.key.pem'] as const
  assertRefused(take(...leaf), 1, /"CN=leaf" is not a CA certificate/)
  assertRefused(shell.pki('import', 'mine', '--chain', 'ca.pem', '--key', 'ca.key'), 1, /exists already/)
})
