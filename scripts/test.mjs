// Runs every test (or the files given) and ends with the runner's own summary. With HOLDFAST_NO_SKIP=1 a skipped test
// fails the run: on a machine that has every foreign program, nothing may be passed over.
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const given = process.argv.slice(2)
const files =
  given.length > 0 ? given : globSync(['{pki,seal,server,cli,docs}/test/**/*.test.ts', 'test/**/*.test.ts']).sort()
if (files.length === 0) {
  console.error('No test file was found.')
  process.exit(1)
}

// Each test file is a process of its own, and most load the whole server: compiled once, it starts in half the time.
const compileCache = fileURLToPath(new URL('../node_modules/.cache/tests', import.meta.url))
const runner = spawn(
  process.execPath,
  ['--conditions=source', '--test', '--test-concurrency=2', '--test-timeout=300000', '--test-reporter=spec', ...files],
  {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      NODE_COMPILE_CACHE: compileCache,
      FORCE_COLOR: process.stdout.isTTY ? '1' : '0',
    },
  },
)
let tail = ''
runner.stdout.on('data', (chunk) => {
  process.stdout.write(chunk)
  tail = (tail + chunk).slice(-4096)
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => runner.kill(signal))
runner.on('close', (code) => {
  const skipped = Number(/skipped (\d+)/.exec(tail)?.[1] ?? 0)
  if (process.env.HOLDFAST_NO_SKIP === '1' && skipped > 0) {
    console.error(`${skipped} tests were skipped, which HOLDFAST_NO_SKIP=1 forbids.`)
    process.exit(1)
  }
  process.exit(code ?? 1)
})
