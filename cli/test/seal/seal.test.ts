import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { BIN, Shell } from '../pki/shell.ts'

suite('holdfast seal, open and verify', () => {
  const shell = new Shell()
  const payload = '{"bar":4.2}\n'
  after(() => shell[Symbol.dispose]())

  function run(args: string, input: string | Uint8Array = '') {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=source', BIN, ...args.split(' ')], {
      cwd: shell.path,
      input,
      env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-test-compile-cache') },
      timeout: 60_000,
    })
    return { status, stdout, out: stdout.toString(), err: stderr.toString() }
  }

  function ok(args: string, input: string | Uint8Array = '') {
    const outcome = run(args, input)
    assert.equal(outcome.status, 0, outcome.err)
    return outcome
  }

  function refused(args: string, line: RegExp, status: number): void {
    const outcome = run(args, payload)
    assert.match(outcome.err, /^holdfast: [^\n]+\n$/)
    assert.match(outcome.err, line)
    assert.equal(outcome.status, status)
    assert.equal(outcome.out, '')
  }

  before(() => {
    shell.ok('root', 'root', '--name', 'Plant Root')
    shell.ok('intermediate', 'line', '--name', 'Line 7', '--ca', 'root')
    shell.ok('device', 'pump-17', '--ca', 'line', '--out', '.')
    const { out } = ok('seal-key consumer')
    assert.match(
      out,
      /consumer\.key\.pem {2}opens[^\n]+\nconsumer\.pub\.pem {2}goes to the devices \(key id [0-9a-f]{16}\)/,
    )
    assert.equal(shell.mode('consumer.key.pem'), 0o600)
  })

  test('what goes in at the device comes out at the consumer, and nowhere between', () => {
    const { stdout: sealed } = ok(
      'seal --pfx pump-17.pfx --to consumer.pub.pem --counter 7 --content-type application/json',
      payload,
    )
    assert.equal(sealed.includes('bar'), false)
    const { out } = ok('verify --ca root', sealed)
    assert.match(out, /^good: sealed by device 'pump-17', at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC by its own clock\n/)
    assert.match(out, /counter {5}7\n/)
    assert.match(
      out,
      /encrypted for its consumer\n {2}signature {3}ES256\n {2}path {8}"pump-17" under "Line 7" under "Plant Root"\n$/,
    )
    const opened = ok('open --key consumer.key.pem --ca root/ca.cer --last-counter 6', sealed)
    assert.equal(opened.out, payload)
    assert.match(opened.err, /^good: sealed by device 'pump-17'/)
    const json: unknown = JSON.parse(ok('open --key consumer.key.pem --ca root --json', sealed).out)
    assert.partialDeepStrictEqual(json, {
      good: true,
      device: 'pump-17',
      counter: 7,
      encrypted: true,
      contentType: 'application/json',
      payload: Buffer.from(payload).toString('base64'),
    })
  })

  test('key and chain may come as files; the chain may stay away; a pin stands for a CA', () => {
    ok(
      'seal --key pump-17.key.pem --certificate pump-17.chain.pem --thumbprint-only --no-time reading.json --out small.cbor'.replace(
        'reading.json',
        shell.write('reading.json', payload),
      ),
    )
    assert.ok(shell.bytes('small.cbor').length < 200)
    assert.equal(run('verify --ca root small.cbor').status, 1)
    assert.match(ok('verify --ca root --chain pump-17.chain.pem small.cbor').out, /at a time that it does not say/)
    ok('verify --pin pump-17.cer --chain pump-17.cer small.cbor')
    assert.match(run('verify --ca root --chain pump-17.chain.pem --at-signing small.cbor').out, /rule {8}time-missing/)
  })

  test('what is not good is said in words, with a rule and a way out, and opens nothing', () => {
    const { stdout: sealed } = ok('seal --pfx pump-17.pfx --to consumer.pub.pem', payload)
    const changed = Buffer.from(sealed)
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    const refused = run('open --key consumer.key.pem --ca root', changed)
    assert.equal(refused.status, 1)
    assert.match(
      refused.out,
      /^not good: The signature is not [^\n]+\n {2}rule {8}signature-wrong\n {2}what to do {2}The message was changed/,
    )
    const json: unknown = JSON.parse(run('verify --ca root --json', payload).out)
    assert.partialDeepStrictEqual(json, { good: false, rule: 'not-sealed' })
    assert.match(run('verify --ca root --device pump-18', sealed).out, /wrong-device/)
    assert.match(run('verify --ca root --at 2060-01-01', sealed).out, /rule {8}untrusted: expired/)
    ok(
      'verify --ca root --at 2060-01-01T00:00:00Z --device pump-17'.replace(
        ' --at 2060-01-01T00:00:00Z',
        ' --at-signing',
      ),
      sealed,
    )
    ok('seal-key other')
    assert.match(run('open --key other.key.pem --ca root', sealed).out, /wrong-recipient/)
  })

  test('a call that cannot be is refused in one line', () => {
    refused('seal', /--pfx FILE, or --key FILE and --certificate FILE/, 2)
    refused('seal --pfx pump-17.pfx --counter -1', /whole number/, 2)
    refused('seal --pfx pump-17.pfx --to consumer.key.pem', /holds a private key/, 1)
    refused('seal --pfx pump-17.pfx --to pump-17.cer', /no public key in PEM/, 1)
    refused('seal --key consumer.key.pem --certificate pump-17.chain.pem', /no certificate of the key/, 1)
    refused('verify', /--ca FILE, or --pin FILE/, 2)
    refused('verify --ca root --pin pump-17.cer', /--ca FILE, or --pin FILE/, 2)
    refused('open --ca root', /--key/, 2)
    refused('seal-key consumer', /exists already/, 1)
  })
})
