import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { readConfig, startServer } from '@holdfast/server'
import type { RunningServer } from '@holdfast/server'
import { BIN, Shell } from '../pki/shell.ts'
import type { Outcome } from '../pki/shell.ts'

/** `holdfast …` while a server runs in this process, which a synchronous call would hold up. */
function holdfast(shell: Shell, ...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = {
      cwd: shell.path,
      env: { ...process.env, NO_COLOR: '1', NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-test-compile-cache') },
    }
    execFile(process.execPath, ['--conditions=source', BIN, ...args], options, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

describe('holdfast doctor, with CA files alone', () => {
  let shell: Shell
  before(() => {
    shell = new Shell()
    shell.ok('root', 'root', '--name', 'Acme Root')
    shell.ok('intermediate', 'line', '--ca', 'root', '--name', 'Acme Line 7')
    shell.ok('device', 'pump-1', '--ca', 'line', '--out', '.')
  })
  after(() => shell[Symbol.dispose]())

  test('passes a good chain with exit code 0', async () => {
    const { status, stdout } = await holdfast(
      shell,
      'doctor',
      'pump-1.chain.pem',
      '--device',
      'pump-1',
      '--ca',
      'root/ca.cer',
    )
    assert.equal(status, 0, stdout)
    assert.match(stdout, /✓ read 2 certificates/)
    assert.match(stdout, /✓ a path leads to the given CA "CN=Acme Root"/)
    assert.match(stdout, /! whether anything on it is revoked only the server knows/)
    assert.match(stdout, /✓ The chain is good\./)
    assert.doesNotMatch(stdout, /✗/)
  })

  test('refuses with exit code 1, naming what is wrong and what to do', async () => {
    const { status, stdout } = await holdfast(
      shell,
      'doctor',
      'pump-1.cer',
      '--device',
      'Pump-1',
      '--ca',
      'root/ca.cer',
    )
    assert.equal(status, 1)
    assert.match(stdout, /✗ chain:issuer-not-found: .*"CN=Acme Line 7", which was not sent/)
    assert.match(stdout, /what to do: If "Acme Line 7" is an intermediate, append it/)
    assert.match(stdout, /✗ common-name-mismatch: .*they differ in case only/)
    assert.match(stdout, /✗ The chain is refused: 2 rules are broken\./)
  })

  test('judges for another moment, and answers scripts in JSON', async () => {
    const args = ['doctor', 'pump-1.chain.pem', '--ca', 'root/ca.cer', '--at', '2099-01-01', '--json']
    const { status, stdout } = await holdfast(shell, ...args)
    assert.equal(status, 1)
    const { ok, steps } = JSON.parse(stdout) as { ok: boolean; steps: { rule?: string }[] }
    assert.equal(ok, false)
    assert.ok(steps.some(({ rule }) => rule === 'chain:expired'))
  })

  test('ends with exit code 2 when the question makes no sense', async () => {
    const garbage = shell.write('garbage.pem', 'hello')
    for (const args of [
      ['doctor'],
      ['doctor', garbage, '--ca', 'root/ca.cer'],
      ['doctor', 'pump-1.cer', '--at', 'soon'],
    ]) {
      const { status, stdout, stderr } = await holdfast(shell, ...args)
      assert.equal(status, 2, stderr)
      assert.equal(stdout, '')
    }
  })
})

describe('holdfast beside a running server', () => {
  let shell: Shell
  let server: RunningServer
  let access: readonly string[]
  before(async () => {
    shell = new Shell()
    const listen = { address: '127.0.0.1', mqtt: 0, https: 0, amqp: 0 }
    server = await startServer(
      readConfig({
        data: join(shell.path, 'data'),
        hubs: [{ name: 'localhost', hosts: ['localhost'] }],
        provisioning: { hosts: ['localhost'] },
        listen,
        log: { level: 'error' },
      }),
    )
    const { rootFile, managementTokenFile, ports } = server
    access = [
      '--url',
      `https://127.0.0.1:${ports.https}`,
      '--token-file',
      managementTokenFile,
      '--ca-file',
      rootFile ?? '',
    ]
    shell.ok('root', 'root', '--name', 'Acme Root')
    shell.ok('device', 'pump-1', '--ca', 'root', '--out', '.')
    await succeed('ca', 'register', 'acme', 'root/ca.cer')
    await succeed('ca', 'prove', 'acme', '--ca', 'root')
    await succeed('enroll', 'group', 'pumps', '--authority', 'acme')
  })
  after(async () => {
    await server.close()
    shell[Symbol.dispose]()
  })

  const run = (...args: readonly string[]) => holdfast(shell, ...args, ...access)
  async function succeed(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await run(...args)
    assert.equal(status, 0, stderr)
    return stdout
  }

  test('doctor asks both the hub and the provisioning service', async () => {
    const fresh = await succeed('doctor', 'pump-1.chain.pem', '--device', 'pump-1')
    assert.match(fresh, /The hub\n.*\n.*has no device 'pump-1'|! hub 'localhost' has no device 'pump-1'/)
    assert.match(fresh, /✓ .*the enrollment group 'pumps' decides/)
    assert.match(fresh, /✓ The device can register, and then connect\./)
    await succeed('device', 'create', 'pump-1', '--ca')
    assert.match(
      await succeed('doctor', 'pump-1.chain.pem', '--device', 'pump-1'),
      /✓ hub 'localhost' lets 'pump-1' in/,
    )
    const wrong = await run('doctor', 'pump-1.chain.pem', '--registration', 'pump-2')
    assert.equal(wrong.status, 1)
    assert.match(wrong.stdout, /✗ registration-id-mismatch/)
    assert.equal((await run('doctor', 'pump-1.chain.pem')).status, 2)
  })

  test('ca usage, expiry and the causes of refusals can be asked for', async () => {
    assert.match(await succeed('ca', 'usage'), /acme +verified +0 devices +never seen/)
    assert.match(await succeed('ca', 'usage', 'acme', '--devices'), /no device was last seen with 'acme'/)
    assert.equal((await run('ca', 'usage', 'nobody')).status, 1)
    assert.equal((await run('ca', 'usage', '--devices')).status, 2)
    assert.match(await succeed('expiry', '--within', '20000d'), /authority +acme/)
    const { value } = JSON.parse(await succeed('expiry', '--within', '1h', '--json')) as { value: unknown[] }
    assert.deepEqual(value, [])
    assert.match(await succeed('refusals', '--summary', '--since', '1h'), /nothing was refused/)
    assert.equal((await run('refusals', '--since', '1h')).status, 2)
  })

  test('an enrolment and the certificates of a device are changed in place', async () => {
    assert.equal((await run('enroll', 'group', 'pumps', '--authority', 'acme')).status, 1)
    await succeed('enroll', 'group', 'pumps', '--authority', 'acme', '--replace')
    shell.ok('device', 'press-1', '--ca', 'root', '--out', 'first')
    shell.ok('device', 'press-1', '--ca', 'root', '--out', 'second')
    await succeed('device', 'create', 'press-1', '--certificate', 'first/press-1.cer')
    await succeed(
      'device',
      'certificate',
      'press-1',
      '--certificate',
      'first/press-1.cer',
      '--secondary',
      'second/press-1.cer',
    )
    const told = await succeed('doctor', 'second/press-1.chain.pem', '--device', 'press-1')
    assert.match(told, /✓ the certificate has the secondary thumbprint/)
  })
})
