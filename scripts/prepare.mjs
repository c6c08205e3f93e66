// Brings a clone to the point where it can run: packages by the lockfile, then the build. Runs on any Node from 18 on,
// since the Node that Holdfast needs comes with the packages.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const marker = join(root, 'node_modules', '.holdfast-installed.json')
const withTests = process.argv.includes('--dev')

install()
demandRuntime()
build()

function install() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  const done = existsSync(marker) ? JSON.parse(readFileSync(marker, 'utf8')) : {}
  if (done.lock === lock && (done.withTests || !withTests)) return
  const started = Date.now()
  process.stdout.write(`Installing ${withTests ? 'everything the tests need' : 'what Holdfast needs'} … `)
  // By the lock file and without changing it. Not `npm ci`: that refuses a lock file which lacks the packages that some
  // tools have for other platforms, and registries do not carry all of those.
  const what = ['install', '--no-save', ...(withTests ? ['--include=dev'] : ['--omit=dev'])]
  npm([...what, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  writeFileSync(marker, JSON.stringify({ lock, withTests }))
  process.stdout.write(`done in ${((Date.now() - started) / 1000).toFixed(1)} s\n`)
}

function npm(args) {
  const script = process.env.npm_execpath
  const result = script
    ? spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
    : spawnSync('npm', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  if (result.status === 0) return
  console.error('\nThe packages could not be installed: the messages above say why. Then run the command again.')
  process.exit(1)
}

function demandRuntime() {
  const shipped = join(root, 'node_modules', `node-${process.platform}-${process.arch}`)
  const major = Number(process.versions.node.split('.')[0])
  if (existsSync(shipped) || major >= 24) return
  console.error(
    `Holdfast needs Node 24 or newer, and none is shipped for ${process.platform}-${process.arch}: this is Node ${process.versions.node}. Install a newer Node, then run the command again.`,
  )
  process.exit(1)
}

function build() {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const result = spawnSync(process.execPath, [compiler, '-b'], { cwd: root, stdio: 'inherit' })
  if (result.status !== 0) process.exit(result.status ?? 1)
}
