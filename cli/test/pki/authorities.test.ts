import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { Command } from 'commander'
import { register } from '../../src/pki/register.ts'
import { assertRefused, BIN, expiredRoot, Shell } from './shell.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

const noScript = without('script', 'bsdutils')

interface CaResult {
  readonly subject: string
  readonly notAfter: string
  readonly pathLength: number | null
  readonly files: Record<'key' | 'certificate' | 'chain', string>
}

test('a root CA lives in a folder whose key is for its owner alone', { skip: withoutOpenssl }, () => {
  using shell = new Shell()
  const output = shell.ok('root', 'contoso', '--name', 'Contoso Root CA')
  assert.match(output, /^root CA "Contoso Root CA", valid through 20\d\d-\d\d-\d\d\n/)
  assert.equal(shell.mode('contoso'), 0o700)
  assert.equal(shell.mode('contoso/ca.key'), 0o600)
  assert.equal(shell.mode('contoso/ca.cer') & 0o077, 0o044)
  assert.equal(shell.read('contoso/chain.pem'), shell.read('contoso/ca.cer'))
  const certificate = new X509Certificate(shell.read('contoso/ca.cer'))
  assert.ok(certificate.ca)
  assert.ok(certificate.checkPrivateKey(createPrivateKey(shell.read('contoso/ca.key'))))
  assert.match(shell.openssl('verify', '-x509_strict', '-CAfile', 'contoso/ca.cer', 'contoso/ca.cer'), /OK/)
})

test('intermediates go to any depth and carry their chain', { skip: withoutOpenssl }, () => {
  using shell = new Shell()
  shell.ok('root', 'root', '--name', 'Root', '--key', 'p384')
  const plant = shell.json('intermediate', 'plant', '--ca', 'root', '--name', 'Plant', '--path-length', '1') as CaResult
  assert.equal(plant.pathLength, 1)
  const line = shell.json(
    'intermediate',
    'line',
    '--ca',
    'plant',
    '--name',
    'Line 7',
    '--organization',
    'Contoso',
  ) as CaResult
  assert.equal(line.subject, 'CN=Line 7,O=Contoso')
  assert.equal(line.pathLength, 0)
  assert.equal(shell.read('line/chain.pem').match(/BEGIN/g)?.length, 3)
  const verify = ['verify', '-x509_strict', '-CAfile', 'root/ca.cer', '-untrusted', 'plant/ca.cer', 'line/ca.cer']
  assert.match(shell.openssl(...verify), /OK/)
  assertRefused(
    shell.pki('intermediate', 'deeper', '--ca', 'line', '--name', 'Deeper'),
    1,
    /"CN=Line 7,O=Contoso" allows no CA below itself \(path length 0\)\. Issue devices from it/,
  )
  assertRefused(
    shell.pki('intermediate', 'deeper', '--ca', 'plant', '--name', 'Deeper', '--path-length', '1'),
    1,
    /Ask for a path length of 0 or less/,
  )
})

test('every kind of key makes a CA', () => {
  using shell = new Shell()
  for (const key of ['ed25519', 'rsa2048', 'ml-dsa-65']) {
    shell.ok('root', key, '--name', key, '--key', key)
    assert.ok(new X509Certificate(shell.read(`${key}/ca.cer`)).ca)
  }
  assertRefused(shell.pki('root', 'x', '--name', 'X', '--key', 'rsa1024'), 2, /Allowed choices are p256, p384/)
})

test(
  'a key encrypted under a passphrase opens for openssl and for the CA that needs it',
  { skip: withoutOpenssl },
  () => {
    using shell = new Shell()
    shell.write('pass.txt', 'pässwörd mit Leerzeichen \nsecond line\n')
    shell.write('wrong.txt', 'wrong\n')
    shell.write('empty.txt', '\n')
    shell.ok('root', 'root', '--name', 'Root', '--passphrase-file', 'pass.txt')
    assert.match(shell.read('root/ca.key'), /^-----BEGIN ENCRYPTED PRIVATE KEY-----/)
    const publicKey = shell.openssl('pkey', '-in', 'root/ca.key', '-passin', 'file:pass.txt', '-pubout')
    assert.equal(shell.openssl('x509', '-in', 'root/ca.cer', '-noout', '-pubkey'), publicKey)

    const make = ['intermediate', 'line', '--ca', 'root', '--name', 'Line'] as const
    assertRefused(shell.pki(...make), 1, /no terminal to ask on, give it with --ca-passphrase-file FILE/)
    assertRefused(
      shell.pki(...make, '--ca-passphrase-file', 'wrong.txt'),
      1,
      /'root\/ca\.key' cannot be used: the passphrase does not fit/,
    )
    assertRefused(
      shell.pki(...make, '--ca-passphrase-file', 'absent.txt'),
      1,
      /'absent.txt' cannot be read: it does not exist/,
    )
    assertRefused(shell.pki(...make, '--ca-passphrase-file', 'empty.txt'), 1, /holds no passphrase/)
    shell.ok(...make, '--ca-passphrase-file', 'pass.txt')
  },
)

/** Runs the program on a terminal of its own (`script`) and answers each question as it appears. */
async function onTerminal(shell: Shell, args: string, answers: readonly [RegExp, string][]) {
  // Without a width of its own the terminal would break every word into letters.
  const command = `stty cols 100; exec ${process.execPath} --conditions=source ${BIN} pki ${args}`
  const terminal = spawn('script', ['-qec', command, '/dev/null'], { cwd: shell.path, timeout: 20_000 })
  let output = ''
  let answered = 0
  let seen = 0
  terminal.stdout.on('data', (chunk: Buffer) => {
    output += chunk
    const [question, answer] = answers[answered] ?? []
    if (question === undefined || !question.test(output.slice(seen))) return
    seen = output.length
    answered += 1
    terminal.stdin.write(answer)
  })
  const [status] = (await once(terminal, 'close')) as [number | null]
  return { status, output }
}

test('a passphrase is asked for on a terminal, twice when it is new, and never shown', { skip: noScript }, async () => {
  using shell = new Shell()
  const make = 'root root --name Root --ask-passphrase'
  const differing = await onTerminal(shell, make, [
    [/New passphrase/, 'secret one\r'],
    [/The same again/, 'secret two\r'],
  ])
  assert.equal(differing.status, 1)
  assert.match(differing.output, /holdfast: the two passphrases differ: nothing was made/)
  const cancelled = await onTerminal(shell, make, [[/New passphrase/, '\u0003']])
  assert.equal(cancelled.status, 130)
  assert.match(cancelled.output, /holdfast: cancelled: nothing was made/)
  const same = await onTerminal(shell, make, [
    [/New passphrase/, 'secret one\r'],
    [/The same again/, 'secret one\r'],
  ])
  assert.equal(same.status, 0)
  assert.doesNotMatch(same.output, /secret/)
  const opened = await onTerminal(shell, 'verification-cert CODE --ca root', [
    [/Passphrase of 'root\/ca\.key'/, 'secret one\r'],
  ])
  assert.equal(opened.status, 0, opened.output)
})

test('nothing that exists is overwritten', () => {
  using shell = new Shell()
  shell.ok('root', 'root', '--name', 'Root')
  const key = shell.read('root/ca.key')
  assertRefused(
    shell.pki('root', 'root', '--name', 'Other'),
    1,
    /'root\/ca\.key' exists already and is not overwritten/,
  )
  assertRefused(shell.pki('intermediate', 'root', '--ca', 'root', '--name', 'X'), 1, /exists already/)
  assert.equal(shell.read('root/ca.key'), key)
  shell.write('file', '')
  assertRefused(shell.pki('root', 'file/ca', '--name', 'X'), 1, /a part of the path is a file/)
})

test('validity is chosen, and never longer than that of the issuer', () => {
  using shell = new Shell()
  const root = shell.json('root', 'root', '--name', 'Root', '--until', '2049-12-31') as CaResult
  assert.equal(root.notAfter, '2049-12-31T23:59:59.000Z')
  const short = shell.json('root', 'short', '--name', 'Short', '--days', '30') as CaResult
  assert.ok(Math.abs(Date.parse(short.notAfter) - Date.now() - 30 * 86_400_000) < 60_000)
  const cut = shell.json('intermediate', 'cut', '--ca', 'short', '--name', 'Cut') as CaResult
  assert.equal(cut.notAfter, short.notAfter)
  const below = ['intermediate', 'long', '--ca', 'short', '--name', 'Long'] as const
  assertRefused(
    shell.pki(...below, '--days', '31'),
    1,
    /longer than its issuer "CN=Short", which ends at .* renew the issuer first/,
  )
  assertRefused(
    shell.pki(...below, '--until', '2020-01-01'),
    1,
    /ends? at 2020-01-01T23:59:59Z, which is not in the future/,
  )
})

test('an expired CA issues nothing', async () => {
  using shell = new Shell()
  const old = await expiredRoot()
  shell.write('old.cer', old.certificate)
  shell.write('old.key', old.key)
  shell.ok('import', 'old', '--chain', 'old.cer', '--key', 'old.key')
  assertRefused(shell.pki('device', 'pump', '--ca', 'old'), 1, /"CN=Old Root" expired at/)
})

test('a wrong call is a usage error in one line', () => {
  using shell = new Shell()
  const wrong: readonly [readonly string[], RegExp][] = [
    [['root', 'x'], /required option '--name <name>' not specified/],
    [['root', 'x', '--name', 'X', '--days', '0'], /whole number of days from 1/],
    [['root', 'x', '--name', 'X', '--until', '2027-02-30'], /Give a day as 2027-12-31/],
    [['root', 'x', '--name', 'X', '--days', '3', '--until', '2030-01-01'], /cannot be used with option/],
    [['root', 'x', '--name', 'X', '--path-length', '-1'], /number from 0 to 8/],
    [['devise'], /unknown command 'devise'/],
    [['root', 'x', '--name', 'X', '--passphrase', 'secret'], /unknown option '--passphrase'/],
  ]
  for (const [args, message] of wrong) assertRefused(shell.pki(...args), 2, message)
})

test('what is no CA folder, or no name, is refused in words', () => {
  using shell = new Shell()
  assertRefused(
    shell.pki('intermediate', 'x', '--ca', 'nowhere', '--name', 'X'),
    1,
    /'nowhere' is not the folder of a CA/,
  )
  assertRefused(shell.pki('root', 'x', '--name', 'bad\u202ename'), 1, /cannot be a common name: .* cannot be seen/)
  assertRefused(
    shell.pki('root', 'x', '--name', 'n'.repeat(65)),
    1,
    /has 65 characters; a certificate holds at most 64/,
  )
})

test('every command explains itself with examples', () => {
  const pki = new Command('pki')
  register(pki)
  assert.ok(pki.commands.length > 0)
  for (const command of pki.commands) {
    let help = ''
    command.configureOutput({ writeOut: (text) => void (help += text) }).outputHelp()
    assert.match(help, new RegExp(`Examples?:\\n( .*\\n)*  holdfast pki ${command.name()} `))
  }
})
