import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, test } from 'node:test'
import { assertRefused, BIN, Shell } from './shell.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

const shell = new Shell()

before(() => {
  shell.write('pass.txt', 'secret\n')
  shell.ok('root', 'root', '--name', 'Root')
  shell.ok('intermediate', 'line', '--ca', 'root', '--name', 'Line 7')
  shell.ok('device', 'pump-1', '--ca', 'line', '--out', 'out')
  shell.ok('device', 'locked', '--ca', 'line', '--out', 'out', '--passphrase-file', 'pass.txt')
})
after(() => shell[Symbol.dispose]())

interface Verdict {
  readonly trusted: boolean
  readonly rule?: string
  readonly path?: readonly { readonly commonName: string }[]
}

function verdict(...args: readonly string[]): { status: number | null; verdict: Verdict } {
  const { status, stdout, stderr } = shell.pki('verify', ...args, '--json')
  assert.equal(stderr, '')
  return { status, verdict: JSON.parse(stdout) as Verdict }
}

test('a whole chain is trusted, and shown step by step', () => {
  const output = shell.ok('verify', 'out/pump-1.chain.pem', '--ca', 'root')
  assert.match(output, /^trusted: "pump-1" chains to "Root", through /)
  assert.match(output, /\n {2}0 {2}"pump-1": no CA, for client authentication/)
  assert.match(output, /\n {2}1 {2}"Line 7": CA, no CA may follow below/)
  assert.match(output, /\n {2}2 {2}"Root": what is trusted/)
  const json = verdict('out/pump-1.cer', '--intermediates', 'line/ca.cer', '--ca', 'root/ca.cer', '--strict')
  assert.equal(json.status, 0)
  assert.deepEqual(
    json.verdict.path?.map(({ commonName }) => commonName),
    ['pump-1', 'Line 7', 'Root'],
  )
  assert.equal(verdict('line/ca.cer', '--ca', 'root').status, 0)
})

test('a refusal names the rule, the certificate and the remedy', () => {
  const missing = shell.pki('verify', 'out/pump-1.cer', '--ca', 'root')
  assert.equal(missing.status, 1)
  assert.match(missing.stdout, /^not trusted: /)
  assert.match(missing.stdout, /\n {2}rule {8}issuer-not-found\n/)
  assert.match(missing.stdout, /\n {2}certificate CN=pump-1 \(serial [0-9a-f]+\)\n/)
  assert.match(missing.stdout, /\n {2}what to do {2}.*append it/)

  shell.ok('root', 'impostor', '--name', 'Root')
  const cases: readonly [string, readonly string[]][] = [
    ['expired', ['out/pump-1.chain.pem', '--ca', 'root', '--at', '2099-01-01']],
    ['not-yet-valid', ['out/pump-1.chain.pem', '--ca', 'root', '--at', '2001-01-01T00:00:00Z']],
    ['extended-key-usage', ['out/pump-1.chain.pem', '--ca', 'root', '--purpose', 'server']],
    ['anchor-as-leaf', ['root/ca.cer', '--ca', 'root']],
    ['anchor-key-mismatch', ['out/pump-1.chain.pem', '--ca', 'impostor']],
  ]
  for (const [rule, args] of cases) assert.deepEqual({ args, ...brief(args) }, { args, status: 1, rule })
})

function brief(args: readonly string[]): { status: number | null; rule: string | undefined } {
  const {
    status,
    verdict: { rule },
  } = verdict(...args)
  return { status, rule }
}

test('several CAs may be trusted at once', () => {
  shell.ok('root', 'second', '--name', 'Second')
  assert.equal(verdict('out/pump-1.chain.pem', '--ca', 'second', 'root').status, 0)
})

test('files that cannot be judged are refused before', () => {
  assertRefused(
    shell.pki('verify', 'out/pump-1.cer', '--ca', 'absent'),
    1,
    /the CA certificate 'absent' cannot be read/,
  )
  assertRefused(shell.pki('verify', 'pass.txt', '--ca', 'root'), 1, /no certificate found/)
  assertRefused(shell.pki('verify', 'out/pump-1.cer'), 2, /required option '--ca <path...>' not specified/)
})

test('a chain is described certificate by certificate', { skip: withoutOpenssl }, () => {
  const output = shell.ok('inspect', 'out/pump-1.chain.pem')
  assert.match(output, /^certificate "pump-1"\n {2}subject {7}CN=pump-1\n {2}issuer {8}CN=Line 7\n/)
  assert.match(output, /\(36[45] days left\)/)
  assert.match(output, /\n {2}key {11}ECDSA P-256\n/)
  assert.match(output, /\n\ncertificate "Line 7"\n/)
  const [, fingerprint] =
    /sha1 Fingerprint=(.*)\n/.exec(shell.openssl('x509', '-in', 'out/pump-1.cer', '-noout', '-fingerprint', '-sha1')) ??
    []
  assert.ok(fingerprint)
  assert.ok(output.includes(fingerprint.replaceAll(':', '').toLowerCase()))
})

test('a .pfx is opened without a passphrase, with one, or not at all', () => {
  assert.match(shell.ok('inspect', 'out/pump-1.pfx'), /^certificate "pump-1"/)
  assertRefused(shell.pki('inspect', 'out/locked.pfx'), 1, /no terminal to ask on, give it with --passphrase-file FILE/)
  assert.match(shell.ok('inspect', 'out/locked.pfx', '--passphrase-file', 'pass.txt'), /^certificate "locked"/)
})

test('requests, DER files and JSON', { skip: withoutOpenssl }, () => {
  shell.openssl('req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'r.key', '-subj', '/CN=r', '-out', 'r.csr')
  shell.openssl('x509', '-in', 'root/ca.cer', '-outform', 'DER', '-out', 'root.der')
  assert.match(shell.ok('inspect', 'r.csr'), /^request for "CN=r"\n {2}key {11}RSA, 2048 bits\n/)
  assert.match(shell.ok('inspect', 'root.der'), /\n {2}role {10}root CA, any number of CAs may follow below\n/)
  const { kind, ca } = shell.json('inspect', 'root.der') as { kind: string; ca: boolean }
  assert.deepEqual({ kind, ca }, { kind: 'certificate', ca: true })
  assertRefused(shell.pki('inspect', 'r.key'), 1, /holds no certificate, request or CRL/)
  assertRefused(shell.pki('inspect', 'pass.txt'), 1, /at offset/)
})

test('a reader that has seen enough ends the command without a word', () => {
  shell.write('many.pem', shell.read('out/pump-1.cer').repeat(900))
  const command = `'${process.execPath}' --conditions=source '${BIN}' pki inspect many.pem | head -1`
  const { stdout, stderr } = spawnSync('sh', ['-c', command], { cwd: shell.path, encoding: 'utf8', timeout: 60_000 })
  assert.deepEqual({ stdout, stderr }, { stdout: 'certificate "pump-1"\n', stderr: '' })
})

test('a name that would steer the terminal is shown escaped', { skip: withoutOpenssl }, () => {
  shell.openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'e.key',
    '-subj',
    '/CN=a\u001b[2Jb',
    '-out',
    'e.cer',
  )
  const output = shell.ok('inspect', 'e.cer')
  assert.equal(output.includes('\u001b'), false)
  assert.ok(output.includes('certificate "CN=a\\1b[2Jb"'))
})
