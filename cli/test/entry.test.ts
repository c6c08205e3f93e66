import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const workspace = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Stands in for the program behind the entry: tells how it was started, then waits for the end of its input. */
const PROGRAM = `
process.on('SIGTERM', () => { console.log('terminated'); process.exit(7) })
console.log(JSON.stringify({ version: process.versions.node, file: import.meta.filename, args: process.argv.slice(2) }))
if (process.argv[2] === 'wait') setInterval(() => {}, 1000)
else process.exitCode = Number(process.argv[3] ?? 0)
`

const place = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-entry-')))
after(() => rmSync(place, { recursive: true, force: true }))

/** A tree as a clone has it: the entry, the program, and the Node that is shipped. */
function makeTree(name: string, { built = false, shipped = true } = {}): string {
  const root = join(place, name)
  mkdirSync(join(root, 'src'), { recursive: true })
  cpSync(join(workspace, 'bin'), join(root, 'bin'), { recursive: true })
  writeFileSync(join(root, 'package.json'), '{"type":"module"}')
  writeFileSync(join(root, 'src', 'main.ts'), PROGRAM)
  if (built) {
    mkdirSync(join(root, 'dist'))
    writeFileSync(join(root, 'dist', 'main.js'), PROGRAM)
  }
  const node = join(workspace, '..', 'node_modules', `node-linux-${process.arch}`)
  mkdirSync(join(root, 'node_modules'))
  if (shipped && existsSync(node)) symlinkSync(node, join(root, 'node_modules', `node-linux-${process.arch}`))
  return join(root, 'bin', 'holdfast.js')
}

interface Started {
  readonly version: string
  readonly file: string
  readonly args: readonly string[]
}

function start(node: string, entry: string, ...args: readonly string[]): Started & { readonly status: number | null } {
  const { status, stdout } = spawnSync(node, [entry, ...args], { encoding: 'utf8', timeout: 30_000 })
  return { status, ...(JSON.parse(stdout) as Started) }
}

test('the source runs when there is no build, the build when there is one', () => {
  const source = start(process.execPath, makeTree('source'), 'pki', '0', '--flag')
  assert.match(source.file, /source\/src\/main\.ts$/)
  assert.deepEqual(source.args, ['pki', '0', '--flag'])
  const built = start(process.execPath, makeTree('built', { built: true }), 'pki')
  assert.match(built.file, /built\/dist\/main\.js$/)
  const demanded = execFileSync(process.execPath, ['--conditions=source', join(place, 'built', 'bin', 'holdfast.js')])
  assert.match(demanded.toString(), /src\/main\.ts/)
})

test('the exit code of the program is passed on', () => {
  assert.equal(start(process.execPath, makeTree('code'), 'x', '5').status, 5)
})

test('a signal reaches the program, which ends in its own way', async () => {
  const child = spawn(process.execPath, [makeTree('signal'), 'wait'], { timeout: 30_000 })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk
    if (output.endsWith('}\n')) child.kill('SIGTERM')
  })
  const [status] = (await once(child, 'close')) as [number]
  assert.equal(status, 7)
  assert.match(output, /terminated/)
})

/** A Node on this machine that Holdfast is too new for, where there is one. */
function oldNode(): string | undefined {
  const candidates = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'node'))
  return ['/usr/bin/node', ...candidates].find((path) => {
    if (!existsSync(path)) return false
    const major = Number(/^v(\d+)/.exec(spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout)?.[1])
    return major >= 18 && major < 24
  })
}

test('an old Node hands over to the one that is shipped, or says what to do', (t) => {
  const old = oldNode()
  if (old === undefined) {
    t.diagnostic('this machine has no Node older than 24: only the newer routes were tried')
    return
  }
  const { version, file } = start(old, makeTree('old'), 'pki')
  assert.equal(Number.parseInt(version, 10) >= 24, true)
  assert.match(file, /old\/src\/main\.ts$/)
  const entry = makeTree('bare', { shipped: false })
  const { status, stderr } = spawnSync(old, [entry], { encoding: 'utf8' })
  assert.equal(status, 1)
  assert.match(stderr, /^holdfast: Node [\d.]+ is too old .* run `npm install` in the clone/)
})

function run(...args: readonly string[]) {
  return spawnSync(process.execPath, ['--conditions=source', join(workspace, 'bin', 'holdfast.js'), ...args], {
    encoding: 'utf8',
  })
}

test('help and version end well, an unknown group is a usage error in one line', () => {
  assert.match(run('--help').stdout, /\n {2}pki +make, sign, inspect and verify certificates, offline\n/)
  assert.match(run('--version').stdout, /^\d+\.\d+\.\d+\n$/)
  const wrong = run('pkj')
  assert.equal(wrong.status, 2)
  assert.match(wrong.stderr, /^holdfast: unknown command 'pkj' \(Did you mean pki\?\); --help shows how it is used\n$/)
})
